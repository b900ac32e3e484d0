/** Calls `work` at once, then at most once in `every` milliseconds; a call in between is made up for at its end. */
export function throttle(every: number, work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  const run = () => {
    again = false;
    work();
    timer = setTimeout(() => {
      timer = undefined;
      if (again) run();
    }, every);
  };
  return () => {
    if (timer === undefined) run();
    else again = true;
  };
}
