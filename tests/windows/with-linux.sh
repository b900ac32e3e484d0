#!/usr/bin/env bash
# One folder kept the same by two daemons over loopback: a Windows build under Wine, and this system's. Edits and moves on both sides,
# names that Windows forbids or takes for equal, executable bits and links that it does not have.
#
#   with-linux.sh DIR WINDOWS-DIR BIFOLD COMMAND...
#
# DIR is an empty directory; WINDOWS-DIR the same as the Windows program sees it (such as Z:\tmp\x); BIFOLD this system's program; COMMAND
# runs bifold.exe (such as: wine bifold.exe). Needs a UTF-8 locale, for Wine too. Prints what it does; ends with an error at the
# first thing that is wrong.
set -eu
dir=$1 seen=$2 bifold=$3; shift 3
windows=("$@")
mkdir -p "$dir/l" "$dir/w"

linux() { "$bifold" --home "$dir/home-l" "$@"; }
wine() { "${windows[@]}" --home "$seen\\home-w" "$@"; }
end() {
  # Each is a group of its own.
  for daemon in "${daemons[@]}"; do kill -- "-$daemon" 2>/dev/null || true; done
}
daemons=(); trap end EXIT
set -m
linux daemon --listen 127.0.0.1:0 --relay off --no-lan --name linux > "$dir/linux.log" 2>&1 & daemons+=($!)
wine daemon --listen 127.0.0.1:0 --relay off --no-lan --name windows > "$dir/windows.log" 2>&1 & daemons+=($!)
set +m

settle() {
  linux status --wait 60 > "$dir/said" || [ $? = 1 ]
  wine status --wait 60 > "$dir/said" || [ $? = 1 ]
}
has() { [ "$(cat "$dir/$1")" = "$2" ] || { echo "$1 is not \"$2\""; ls -lR "$dir/l" "$dir/w"; exit 1; }; }
until_has() { for _ in $(seq 100); do [ "$(cat "$dir/$1" 2>/dev/null)" = "$2" ] && return; sleep 0.2; done; has "$1" "$2"; }
for _ in $(seq 150); do { linux folders && wine folders; } > "$dir/said" 2>&1 && break; sleep 0.2; done

echo "== a folder of Linux joined from Windows"
mkdir "$dir/l/plans"
printf milk > "$dir/l/shopping.txt"; printf day1 > "$dir/l/plans/trip.txt"
printf colon > "$dir/l/a:b.txt"; printf device > "$dir/l/CON.txt"; printf dot > "$dir/l/end."
printf one > "$dir/l/Readme.md"; printf two > "$dir/l/README.md"
printf '#!/bin/sh\n' > "$dir/l/run.sh"; chmod 755 "$dir/l/run.sh"
ln -s shopping.txt "$dir/l/link"
linux add "$dir/l" --name team
ticket=$(linux invite team | tail -1)
wine join "$ticket" "$seen\\w"
settle
has w/shopping.txt milk; has w/plans/trip.txt day1
echo "== names that Windows forbids stand there in their escaped form, and those that it takes for equal are both there"
has "w/a"$'\xef\x80\xba'"b.txt" colon
has "w/"$'\xef\x81\x83'"ON.txt" device
[ "$(for f in "$dir"/w/[Rr][Ee][Aa]*.md; do cat "$f"; echo; done | sort | tr -d '\n')" = onetwo ] || { echo "the two readmes are not both there"; ls "$dir/w"; exit 1; }
[ "$(ls "$dir/l" | wc -l)" = 9 ] || { echo "something was renamed for everyone"; ls "$dir/l"; exit 1; }
echo "== edits, a rename and a deletion on Windows come to Linux; the executable bit and the link stay"
printf '#!/bin/sh\nexit 3\n' > "$dir/w/run.sh"; printf "milk, eggs" > "$dir/w/shopping.txt"
mv "$dir/w/plans" "$dir/w/travel"; rm "$dir/w/"*"ON.txt"
until_has l/shopping.txt "milk, eggs"; until_has l/travel/trip.txt day1
settle
[ -x "$dir/l/run.sh" ] && [ "$(wc -l < "$dir/l/run.sh")" = 2 ] || { echo "run.sh is not what it was"; ls -l "$dir/l"; exit 1; }
[ "$(readlink "$dir/l/link")" = shopping.txt ] || { echo "the link is gone"; ls -l "$dir/l"; exit 1; }
[ ! -e "$dir/l/CON.txt" ] || { echo "CON.txt is still there"; exit 1; }
echo "== an edit on Linux of an escaped name; a mode"
printf "colon 2" > "$dir/l/a:b.txt"; chmod 644 "$dir/l/run.sh"
until_has "w/a"$'\xef\x80\xba'"b.txt" "colon 2"
settle
echo "== both edit while Windows is away: a conflict, picked from Windows"
kill -- "-${daemons[1]}"; wait "${daemons[1]}" 2>/dev/null || true
printf linux > "$dir/l/shopping.txt"; printf windows > "$dir/w/shopping.txt"
linux status --wait 20 > "$dir/said" || true
set -m
wine daemon --listen 127.0.0.1:0 --relay off --no-lan --name windows >> "$dir/windows.log" 2>&1 & daemons[1]=$!
set +m
for _ in $(seq 150); do wine conflicts 2>/dev/null | grep -q shopping.txt && break; sleep 0.2; done
has l/shopping.txt linux; has w/shopping.txt windows
wine resolve team shopping.txt --pick mine
until_has l/shopping.txt windows
settle
[ ! -x "$dir/l/run.sh" ] || { echo "run.sh is executable again"; exit 1; }
echo "all as it should be"
