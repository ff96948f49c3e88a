"""The scripts that the scp fallback runs on a far host: fixed texts for any POSIX shell, GNU or busybox.

Nothing of ours stands in them. The first line of their stdin is a token, made anew for each run,
and what else they need; then comes a line for each file, names with their odd bytes as `\\0ooo`.
They answer in records, each begun by a line feed and the token, so that no name and no file's
bytes are taken for an answer; the last record is `end`.

The user's own shell reads them first, and that may be fish or csh: no single quotes, no !, no line ends.
"""

from __future__ import annotations

import re
from typing import Final

_ODD: Final = re.compile(rb"[^A-Za-z0-9_./-]")

_BEGIN: Final = """
LC_ALL=C; export LC_ALL; unset CDPATH; umask 077;
alink="failed the folder is a link; name what it points to";
unlike="what stands there is not what was written";
read -r token mode x y z;
say() { printf "\\n%s %s" "$token" "$1"; };
plain() { n=$1; case "$1" in +*) n=$(printf "%bx" "${1#+}"); n=${n%x};; esac; };
absent() { case "$1" in
  *": No such file or directory"|*": Not a directory") say none;;
  *) say "failed $1";;
esac; };
nothing() { if e=$(stat -c %f "$1" 2>&1); then say "failed it is there now"; else absent "$e"; fi; };
say begin;
"""
_END: Final = 'printf "\\n%s end\\n" "$token"'

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
while read -r n; do plain "$n";
  if e=$(stat -c "%f %s %Y" "$n" 2>&1); then say "is $e"; else absent "$e"; fi;
done;
"""

_ENTRIES: Final = """
read -r n; plain "$n";
if [ -L "$n" ]; then say "$alink";
elif e=$(cd "$n" 2>&1) && cd "$n"; then
  if [ -r . ]; then say listed; printf "\\n";
    printf "%s\\0" * .* | xargs -0 stat -c "$token %f %s %Y %n" -- 2>/dev/null;
  else say "failed permission denied"; fi;
else say "failed $e"; fi;
"""

# mode: how many bytes at most; x: from where.
_FETCH: Final = """
while read -r n; do plain "$n";
  if [ -L "${n%/*}" ]; then say "$alink";
  elif [ -L "$n" ]; then say "failed no regular file (link)";
  elif [ -f "$n" ]; then
    if [ -r "$n" ]; then say "file ";
      if [ "$x" = 0 ]; then head -c "$mode" "$n"; else tail -c "+$((x + 1))" "$n" | head -c "$mode"; fi;
      say "ended $?";
    else say "failed permission denied"; fi;
  elif [ -d "$n" ]; then say "failed no regular file (folder)";
  elif [ -e "$n" ]; then say "failed no regular file (other)";
  else nothing "$n"; fi;
done;
"""

# x: the bundle, which holds the bytes of all files one after the other; each line: size, hash, name.
# A file is made under a name that nothing has, synced, and read again for its hash.
_PUT: Final = """
plain "$x"; bundle=$n;
if e=$( { : <"$bundle"; } 2>&1 ); then exec 3<"$bundle";
  while read -r size hash n; do plain "$n"; p=0;
    bs=$size; count=1; if [ "$size" = 0 ]; then bs=1; count=0; fi;
    if [ -L "${n%/*}" ]; then say "$alink";
    elif [ -e "$n" ] || [ -L "$n" ]; then say "failed it is there already";
    elif e=$( { set -C; : >"$n"; } 2>&1 ); then p=1;
      if e=$(dd bs="$bs" count="$count" conv=notrunc,fsync status=none 2>&1 <&3 >>"$n") &&
        { [ "$mode" = 0600 ] || e=$(chmod "$mode" "$n" 2>&1); } &&
        e=$unlike && h=$(sha256sum <"$n") && [ "${h%% *}" = "$hash" ]; then say ok;
      else say "failed $e"; rm -f "$n"; fi;
    else say "failed $e"; fi;
    [ "$p" = 1 ] || dd bs="$bs" count="$count" status=none <&3 >/dev/null 2>&1;
  done; exec 3<&-;
else while read -r n; do say "failed $e"; done; fi;
rm -f "$bundle";
"""

# Where there are no hard links, mv is as careful as it can be, which is not wholly.
_MOVE: Final = """
while read -r a b; do plain "$a"; a=$n; plain "$b"; b=$n;
  if [ -L "${a%/*}" ] || [ -L "${b%/*}" ]; then say "$alink";
  elif [ -e "$a" ] || [ -L "$a" ]; then
    if [ -e "$b" ] || [ -L "$b" ]; then say taken;
    elif e=$(if command -v link >/dev/null; then link "$a" "$b"; else ln -T "$a" "$b"; fi 2>&1); then
      if e=$(rm -f "$a" 2>&1); then say ok; else rm -f "$b"; say "failed $e"; fi;
    elif [ -e "$b" ] || [ -L "$b" ]; then say taken;
    elif [ -d "${b%/*}" ] && mv -n "$a" "$b" 2>/dev/null; then
      if [ -e "$a" ] || [ -L "$a" ]; then say taken; else say ok; fi;
    else say "failed $e"; fi;
  else e=$(stat -c %f "$a" 2>&1); say "failed $e"; fi;
done;
"""

_REMOVE: Final = """
while read -r n; do plain "$n";
  if [ -L "${n%/*}" ]; then say "$alink";
  elif [ -e "$n" ] || [ -L "$n" ]; then
    if e=$(rm -f "$n" 2>&1); then say ok; else say "failed $e"; fi;
  else nothing "$n"; fi;
done;
"""

_MAKE: Final = """
while read -r n; do plain "$n"; d=$n; [ -d "$d" ] || e=$(mkdir "$d" 2>&1); done;
if [ -L "$d" ]; then say "failed it is a link"; elif [ -d "$d" ]; then say ok; else say "failed $e"; fi;
"""

_SYNC: Final = """
read -r n; plain "$n"; if e=$(sync "$n" 2>&1); then say ok; else say "failed $e"; fi;
"""

# x: the offset, y: how many bytes, z: their hash; then a line with the upload, and one with the file.
_WRITE: Final = """
read -r n; plain "$n"; up=$n; read -r n; plain "$n"; e=;
if [ -L "${n%/*}" ]; then e=${alink#failed };
elif [ -L "$n" ]; then e="no regular file (link)";
elif [ -f "$n" ]; then e=;
elif [ -e "$n" ]; then e="no regular file";
elif e=$( { set -C; : >"$n"; } 2>&1 ); then chmod "$mode" "$n"; fi;
if [ -n "$e" ]; then say "failed $e";
elif e=$(dd bs=65536 seek="$x" oflag=seek_bytes conv=notrunc status=none 2>&1 <"$up" 1<>"$n") &&
  e=$unlike && h=$(tail -c "+$((x + 1))" "$n" | head -c "$y" | sha256sum) &&
  [ "${h%% *}" = "$z" ]; then say ok;
else say "failed $e"; fi;
rm -f "$up";
"""


def _command(body: str) -> str:
    text = " ".join(line.strip() for line in f"{_BEGIN}{body}{_END}".splitlines()).strip()
    return f"exec sh -c '{text}'"


PROBE: Final = _command(_PROBE)
LOOK: Final = _command(_LOOK)
ENTRIES: Final = _command(_ENTRIES)
FETCH: Final = _command(_FETCH)
PUT: Final = _command(_PUT)
MOVE: Final = _command(_MOVE)
REMOVE: Final = _command(_REMOVE)
MAKE: Final = _command(_MAKE)
SYNC: Final = _command(_SYNC)
WRITE: Final = _command(_WRITE)
ALL: Final = (PROBE, LOOK, ENTRIES, FETCH, PUT, MOVE, REMOVE, MAKE, SYNC, WRITE)


def escaped(path: bytes) -> bytes:
    """A path without spaces, line ends or anything else that a shell would look at.

    It begins with a slash or a dot; one with escapes in it has a plus sign before that.
    """
    safe = _ODD.sub(lambda match: b"\\0%03o" % match.group()[0], path)
    return safe if safe == path else b"+" + safe
