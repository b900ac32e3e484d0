import { mount } from "svelte";
import App from "./App.svelte";
import { chooseBackend } from "./lib/backend/choose";
import { drawn } from "./lib/drawn";
import { followTheme } from "./lib/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";

followTheme();
const backend = await chooseBackend();
const target = document.getElementById("app");
if (target) mount(App, { target, props: { backend } });
drawn(backend, false);
