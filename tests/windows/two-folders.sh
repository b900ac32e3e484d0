#!/usr/bin/env bash
# Two folders kept the same by a Windows build of bifold, under Wine: edits, moves, deletes and a conflict on both sides, names that
# Windows forbids, names that differ in case only.
#
#   two-folders.sh DIR WINDOWS-DIR COMMAND...
#
# DIR is an empty directory; WINDOWS-DIR the same as the program sees it (such as Z:\tmp\x); COMMAND runs bifold.exe (such as: wine bifold.exe).
# Needs a UTF-8 locale, for Wine too. Prints what it does; ends with an error at the first thing that is wrong.
set -eu
dir=$1 seen=$2; shift 2
bifold=("$@")
mkdir -p "$dir/left/plans" "$dir/right"

sync() {  # sync WANTED-EXIT-CODE ARGS...
  local wanted=$1 code=0; shift
  "${bifold[@]}" sync "$seen\\left" "$seen\\right" --home "$seen\\home" "$@" || code=$?
  [ "$code" = "$wanted" ] || { echo "exit code $code, not $wanted"; exit 1; }
}
same() { diff -r -x .bifold "$dir/left" "$dir/right"; }
has() { [ "$(cat "$dir/$1")" = "$2" ] || { echo "$1 is not \"$2\""; exit 1; }; }

echo "== first contact: a union, with names that Windows forbids in their escaped form"
printf milk > "$dir/left/shopping.txt"
printf day1 > "$dir/left/plans/trip.txt"
printf mine > "$dir/right/right.txt"
printf colon > "$dir/left/a"$'\xef\x80\xba'"b.txt"   # a:b.txt in the tree
printf device > "$dir/left/"$'\xef\x81\x83'"ON.txt"  # CON.txt in the tree
sync 0; same
echo "== a directory renamed here, a file in it edited there; a deletion"
mv "$dir/right/plans" "$dir/right/travel"; printf day2 > "$dir/left/plans/trip.txt"; rm "$dir/left/right.txt"
sync 0; same; has left/travel/trip.txt day2; [ ! -e "$dir/right/right.txt" ]
echo "== both changed it: a conflict, each keeps its own; then one is picked"
printf left > "$dir/left/shopping.txt"; printf right > "$dir/right/shopping.txt"
sync 1; has left/shopping.txt left; has right/shopping.txt right
sync 0 --resolve shopping.txt=right; same; has left/shopping.txt right
echo "== a rename that changes case only"
mv "$dir/left/shopping.txt" "$dir/left/Shopping.txt"
sync 0; same; [ -e "$dir/right/Shopping.txt" ]
echo "== the same name in two cases, made on both sides: one file with two sides"
printf one > "$dir/left/Readme.md"; printf two > "$dir/right/README.md"
sync 1
listed=README.md; [ -n "$(find "$dir/left" -name README.md)" ] || listed=Readme.md
sync 0 --resolve "$listed=both"; same
echo "== nothing left to do"
sync 0
echo "all as it should be"
