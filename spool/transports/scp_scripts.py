"""The script that the scp fallback runs on a far host: one fixed text for any POSIX shell, GNU or busybox.

Nothing of ours stands in it. It reads requests from its stdin until that ends, since starting a
shell there takes as long as the user's start-up file likes. A request is a line with a token, made
anew for each, the operation, how many lines follow, and up to four words; then comes a line for
each file, names with their odd bytes as `\\0ooo`. It answers in records, each begun by a line feed
and the token, so that no name and no file's bytes are taken for an answer; the last is `end`.

The user's own shell reads the text first, and that may be fish or csh: no single quotes, no !, no
line ends.
"""

from __future__ import annotations

import re
from typing import Final

_ODD: Final = re.compile(rb"[^A-Za-z0-9_./-]")

_BEGIN: Final = """
LC_ALL=C; export LC_ALL; unset CDPATH; umask 077;
alink="failed the folder is a link; name what it points to";
unlike="what stands there is not what was written";
say() { printf "\\n%s %s" "$token" "$1"; };
more() { [ "$count" -gt 0 ] && count=$((count - 1)) && read -r "$@"; };
plain() { n=$1; case "$1" in +*) n=$(printf "%bx" "${1#+}"); n=${n%x};; esac; };
name() { more n && plain "$n"; };
absent() { case "$1" in
  *": No such file or directory"|*": Not a directory") say none;;
  *) say "failed $1";;
esac; };
nothing() { if e=$(stat -c %f "$1" 2>&1); then say "failed it is there now"; else absent "$e"; fi; };
"""

_PROBE: Final = """
m=; for c in scp sha256sum dd head tail stat rm mkdir chmod sync xargs mv; do
  command -v "$c" >/dev/null 2>&1 || m="$m $c";
done;
stat -c %f / >/dev/null 2>&1 || m="$m stat-with-c";
if [ -n "$m" ]; then say "misses$m"; else
  b=; read -r b 2>/dev/null </proc/sys/kernel/random/boot_id; say "has $b";
fi;
"""

_LOOK: Final = """
while name; do
  if e=$(stat -c "%f %s %Y" "$n" 2>&1); then say "is $e"; else absent "$e"; fi;
done;
"""

_ENTRIES: Final = """
name;
if [ -L "$n" ]; then say "$alink";
elif e=$(cd "$n" 2>&1); then ( cd "$n";
  if [ -r . ]; then say listed; printf "\\n";
    printf "%s\\0" * .* | xargs -0 stat -c "$token %f %s %Y %n" -- 2>/dev/null;
  else say "failed permission denied"; fi; );
else say "failed $e"; fi;
"""

# a: how many bytes at most; b: from where.
_FETCH: Final = """
while name; do
  if [ -L "${n%/*}" ]; then say "$alink";
  elif [ -L "$n" ]; then say "failed no regular file (link)";
  elif [ -f "$n" ]; then
    if [ -r "$n" ]; then say "file ";
      if [ "$b" = 0 ]; then head -c "$a" "$n"; else tail -c "+$((b + 1))" "$n" | head -c "$a"; fi;
      say "ended $?";
    else say "failed permission denied"; fi;
  elif [ -d "$n" ]; then say "failed no regular file (folder)";
  elif [ -e "$n" ]; then say "failed no regular file (other)";
  else nothing "$n"; fi;
done;
"""

# a: the mode; b: the bundle, which holds the bytes of all files one after the other. Each line: size,
# hash, name. A file is made under a name that nothing has, synced, and read again for its hash.
_PUT: Final = """
plain "$b"; bundle=$n;
if e=$( { : <"$bundle"; } 2>&1 ); then exec 3<"$bundle";
  while more size hash n; do plain "$n"; p=0;
    bs=$size; blocks=1; if [ "$size" = 0 ]; then bs=1; blocks=0; fi;
    if [ -L "${n%/*}" ]; then say "$alink";
    elif [ -e "$n" ] || [ -L "$n" ]; then say "failed it is there already";
    elif e=$( { set -C; : >"$n"; } 2>&1 ); then p=1;
      if e=$(dd bs="$bs" count="$blocks" conv=notrunc,fsync status=none 2>&1 <&3 >>"$n") &&
        { [ "$a" = 0600 ] || e=$(chmod "$a" "$n" 2>&1); } &&
        e=$unlike && h=$(sha256sum <"$n") && [ "${h%% *}" = "$hash" ]; then say ok;
      else say "failed $e"; rm -f "$n"; fi;
    else say "failed $e"; fi;
    [ "$p" = 1 ] || dd bs="$bs" count="$blocks" status=none <&3 >/dev/null 2>&1;
  done; exec 3<&-;
else while more n; do say "failed $e"; done; fi;
rm -f "$bundle";
"""

# Where there are no hard links, mv is as careful as it can be, which is not wholly.
_MOVE: Final = """
while more o n; do plain "$n"; t=$n; plain "$o"; o=$n;
  if [ -L "${o%/*}" ] || [ -L "${t%/*}" ]; then say "$alink";
  elif [ -e "$o" ] || [ -L "$o" ]; then
    if [ -e "$t" ] || [ -L "$t" ]; then say taken;
    elif e=$(if command -v link >/dev/null; then link "$o" "$t"; else ln -T "$o" "$t"; fi 2>&1); then
      if e=$(rm -f "$o" 2>&1); then say ok; else rm -f "$t"; say "failed $e"; fi;
    elif [ -e "$t" ] || [ -L "$t" ]; then say taken;
    elif [ -d "${t%/*}" ] && mv -n "$o" "$t" 2>/dev/null; then
      if [ -e "$o" ] || [ -L "$o" ]; then say taken; else say ok; fi;
    else say "failed $e"; fi;
  else e=$(stat -c %f "$o" 2>&1); say "failed $e"; fi;
done;
"""

_REMOVE: Final = """
while name; do
  if [ -L "${n%/*}" ]; then say "$alink";
  elif [ -e "$n" ] || [ -L "$n" ]; then
    if e=$(rm -f "$n" 2>&1); then say ok; else say "failed $e"; fi;
  else nothing "$n"; fi;
done;
"""

_MAKE: Final = """
e=; while name; do d=$n; [ -d "$d" ] || e=$(mkdir "$d" 2>&1); done;
if [ -L "$d" ]; then say "failed it is a link"; elif [ -d "$d" ]; then say ok; else say "failed $e"; fi;
"""

_SYNC: Final = """
name; if e=$(sync "$n" 2>&1); then say ok; else say "failed $e"; fi;
"""

# a: the mode of a new file; b: the offset, c: how many bytes, d: their hash. A line with the upload,
# and one with the file.
_WRITE: Final = """
name; up=$n; name; e=;
if [ -L "${n%/*}" ]; then e=${alink#failed };
elif [ -L "$n" ]; then e="no regular file (link)";
elif [ -f "$n" ]; then e=;
elif [ -e "$n" ]; then e="no regular file";
elif e=$( { set -C; : >"$n"; } 2>&1 ); then chmod "$a" "$n"; fi;
if [ -n "$e" ]; then say "failed $e";
elif e=$(dd bs=65536 seek="$b" oflag=seek_bytes conv=notrunc status=none 2>&1 <"$up" 1<>"$n") &&
  e=$unlike && h=$(tail -c "+$((b + 1))" "$n" | head -c "$c" | sha256sum) &&
  [ "${h%% *}" = "$d" ]; then say ok;
else say "failed $e"; fi;
rm -f "$up";
"""

_OPERATIONS: Final = {
    "probe": _PROBE,
    "look": _LOOK,
    "entries": _ENTRIES,
    "fetch": _FETCH,
    "put": _PUT,
    "move": _MOVE,
    "remove": _REMOVE,
    "make": _MAKE,
    "sync": _SYNC,
    "write": _WRITE,
}


def _text() -> str:
    cases = "\n".join(f"{name}) {text};;" for name, text in _OPERATIONS.items())
    loop = f"""while read -r token operation count a b c d; do say begin;
        case "$operation" in {cases} esac; printf "\\n%s end\\n" "$token"; done"""
    lines = (line.strip() for line in f"{_BEGIN}{loop}".splitlines())
    return " ".join(line for line in lines if line).replace("; ;;", ";;")


SCRIPT: Final = _text()
COMMAND: Final = f"exec sh -c '{SCRIPT}'"


def escaped(path: bytes) -> bytes:
    """A path without spaces, line ends or anything else that a shell would look at.

    It begins with a slash or a dot; one with escapes in it has a plus sign before that.
    """
    safe = _ODD.sub(lambda match: b"\\0%03o" % match.group()[0], path)
    return safe if safe == path else b"+" + safe
