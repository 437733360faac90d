#!/bin/sh
# Installs orchesjob from a release: finds the archive for this machine, checks it against SHA256SUMS, and only then
# changes anything. POSIX sh; needs tar, gzip, sha256sum or shasum, and for a URL curl or wget.
#
#   curl -fsSL URL/install.sh | sh -s -- URL
#
# Everything is in functions that the last line calls: if the download of this script breaks off, nothing runs.
set -eu

usage() {
  cat <<'END'
usage: install.sh [--prefix DIR] [--target NAME] [URL|DIR]
       install.sh --uninstall [--prefix DIR]

Installs the orchesjob of a release, with its man page, shell completions and documents.

  URL|DIR      where the release is: archives and SHA256SUMS (default: $ORCHESJOB_RELEASE_URL)
  --prefix     where to install (default: /usr/local for root, else ~/.local)
  --target     which archive, e.g. linux-x64-musl (default: the one for this machine)
  --uninstall  removes what was installed; jobs, logs and history stay where they are
END
}

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

# For a wrong command line: exit 2, as orchesjob does.
refuse() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 2
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# Files of the archive, and their places below the prefix. The executable comes last: once it is there, everything is.
FILES='
man/orchesjob.1             share/man/man1/orchesjob.1
completions/orchesjob.bash  share/bash-completion/completions/orchesjob
completions/_orchesjob      share/zsh/site-functions/_orchesjob
completions/orchesjob.fish  share/fish/vendor_completions.d/orchesjob.fish
'
DOCUMENTS='LICENSE README.md CHANGELOG.md docs'

# Prints the name of the target for this machine, as in scripts/targets.ts.
find_target() {
  system=$(uname -s)
  machine=$(uname -m)
  [ "$system" = Linux ] || fail "orchesjob runs only on Linux, and this is $system"
  case $machine in
    x86_64 | amd64) name=linux-x64 ;;
    aarch64 | arm64) name=linux-arm64 ;;
    *) fail "there is no orchesjob for $machine, only for x86_64 and aarch64" ;;
  esac
  if uses_musl; then
    name=$name-musl
  elif [ "$name" = linux-x64 ] && ! grep -qw avx2 /proc/cpuinfo 2>/dev/null; then
    name=$name-baseline
  fi
  printf '%s\n' "$name"
}

# Looks at what programs here are linked with: a glibc system may have musl as well, and the other way round.
uses_musl() {
  if has ldd; then
    case $(ldd --version 2>&1 || :) in
      *musl*) return 0 ;;
      *) return 1 ;;
    esac
  fi
  for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
    [ ! -e "$loader" ] || return 1
  done
  for loader in /lib/ld-musl-*.so.1; do
    [ ! -e "$loader" ] || return 0
  done
  return 1
}

# fetch NAME: gets a file of the release into the scratch directory.
fetch() {
  case $source in
    http://* | https://*)
      if has curl; then
        # From https, follow no redirect to http: only HTTPS proves that the checksums are the right ones.
        case $source in https://*) protocols='=https' ;; *) protocols='=http,https' ;; esac
        curl -fsSL --proto "$protocols" -o "$scratch/$1" "$source/$1" || fail "cannot get $source/$1"
      elif has wget; then
        wget -q -O "$scratch/$1" "$source/$1" || fail "cannot get $source/$1"
      else
        fail "curl or wget is needed to get $source/$1"
      fi
      ;;
    *)
      [ -f "$source/$1" ] || fail "there is no $source/$1"
      cp "$source/$1" "$scratch/$1"
      ;;
  esac
}

check_tools() {
  has tar || fail "tar is needed; nothing was installed"
  has gzip || fail "gzip is needed; nothing was installed"
  has sha256sum || has shasum || fail "sha256sum or shasum is needed; nothing was installed"
}

checksum() {
  if has sha256sum; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi
}

# Prints the archive of the target in SHA256SUMS, whatever its version.
find_archive() {
  found=$(sed -n "s/^[0-9a-f]\{64\}  \(orchesjob-[0-9][^ /]*-$target\.tar\.gz\)\$/\1/p" "$scratch/SHA256SUMS")
  [ -n "$found" ] || fail "SHA256SUMS has no line for $target"
  [ "$(printf '%s\n' "$found" | wc -l)" -eq 1 ] || fail "SHA256SUMS has more than one archive for $target"
  printf '%s\n' "$found"
}

verify() {
  expected=$(sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$scratch/SHA256SUMS")
  actual=$(checksum "$scratch/$1")
  actual=${actual%% *}
  [ "$actual" = "$expected" ] ||
    fail "$1 does not match SHA256SUMS: its checksum is $actual, not $expected; nothing was installed"
}

# Checks before any download that all directories exist or can be created, and that no file's name is taken by a
# directory: cp and mv would put the file into it.
check_places() {
  for directory in bin share/doc/orchesjob share/man/man1 share/bash-completion/completions \
    share/zsh/site-functions share/fish/vendor_completions.d; do
    directory=$prefix/$directory
    while [ ! -e "$directory" ] && [ ! -L "$directory" ]; do directory=$(dirname "$directory"); done
    [ -d "$directory" ] ||
      fail "$directory is not a directory; nothing was changed. Move it away, or choose another place: --prefix DIR"
    [ -w "$directory" ] ||
      fail "cannot write to $directory; become root (sudo), or choose another place: --prefix DIR"
  done
  printf '%s' "$FILES" | while read -r _ place; do
    [ -z "$place" ] || check_file "$prefix/$place"
  done
  check_file "$prefix/bin/orchesjob"
}

check_file() {
  [ ! -d "$1" ] ||
    fail "$1 is a directory; nothing was changed. Move it away, or choose another place: --prefix DIR"
}

install_release() {
  [ -n "$source" ] || fail "where is the release? Give its URL or directory, or set ORCHESJOB_RELEASE_URL"
  [ -n "$target" ] || target=$(find_target)
  check_tools
  check_places
  # For all users, whatever the caller's umask: a command that only root can execute is of no use to others.
  umask 022
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"; [ -z "$trial" ] || rm -f "$trial"' EXIT
  trap 'exit 1' HUP INT TERM

  fetch SHA256SUMS
  archive=$(find_archive)
  fetch "$archive"
  verify "$archive"
  tar -xzf "$scratch/$archive" -C "$scratch"
  cd "$scratch/${archive%.tar.gz}"

  # Try it where it will be installed: the temporary directory may be mounted noexec.
  mkdir -p "$prefix/bin"
  trial=$prefix/bin/.orchesjob.$$
  cp orchesjob "$trial"
  chmod 755 "$trial"
  version=$("$trial" --version 2>"$scratch/errors") || {
    head -n 1 "$scratch/errors" >&2
    fail "the executable for $target does not run here; nothing was installed$(hint)"
  }

  printf '%s' "$FILES" | while read -r file place; do
    [ -n "$place" ] || continue
    mkdir -p "$prefix/${place%/*}"
    # Remove it first: do not write through a link, into a pipe, or over a file that only its owner may change.
    rm -f "$prefix/$place"
    cp "$file" "$prefix/$place"
    chmod 644 "$prefix/$place"
  done
  documents=$prefix/share/doc/orchesjob
  rm -rf "$documents"
  mkdir -p "$documents"
  # shellcheck disable=SC2086
  cp -R $DOCUMENTS "$documents"
  # In one step: a start meanwhile gets the old program or the new one.
  mv -f "$trial" "$prefix/bin/orchesjob"
  trial=

  printf 'installed %s\nas %s\n' "$version" "$prefix/bin/orchesjob"
  case :$PATH: in
    *":$prefix/bin:"*) ;;
    *) printf 'add it to your PATH: export PATH="%s/bin:$%s"\n' "$prefix" PATH ;;
  esac
}

hint() {
  case $target in
    *-musl) printf '; it needs libstdc++ (Alpine: apk add libstdc++)' ;;
  esac
}

uninstall() {
  check_places
  printf '%s' "$FILES" | while read -r _ place; do
    [ -z "$place" ] || rm -f "$prefix/$place"
  done
  rm -rf "$prefix/share/doc/orchesjob"
  rm -f "$prefix/bin/orchesjob"
  printf 'removed orchesjob from %s; jobs, logs and history are still there\n' "$prefix"
}

# take OPTION VALUE
take() {
  case $1 in
    --prefix)
      [ -n "$2" ] || refuse "--prefix is empty; is a variable not set?"
      prefix=$2
      ;;
    --target)
      # It becomes part of a regular expression.
      case $2 in
        '' | *[!abcdefghijklmnopqrstuvwxyz0123456789-]*)
          refuse "a target consists of lower-case letters, digits and -, e.g. linux-x64-musl, not '$2'"
          ;;
      esac
      target=$2
      ;;
  esac
}

main() {
  action=install_release
  source=${ORCHESJOB_RELEASE_URL:-}
  prefix=
  target=
  trial=
  while [ $# -gt 0 ]; do
    option=$1
    case $option in
      --help | -h) usage && exit 0 ;;
      --uninstall) action=uninstall ;;
      --prefix | --target)
        # A value that looks like an option is none: it was probably a variable that is not set.
        case ${2:-} in -*) refuse "$option needs a value" ;; esac
        [ $# -gt 1 ] || refuse "$option needs a value"
        shift
        take "$option" "$1"
        ;;
      --prefix=* | --target=*) take "${option%%=*}" "${option#*=}" ;;
      -*) refuse "there is no option $option; see: install.sh --help" ;;
      *) source=$option ;;
    esac
    shift
  done
  if [ -z "$prefix" ]; then
    if [ "$(id -u)" = 0 ]; then
      prefix=/usr/local
    else
      [ -n "${HOME:-}" ] || refuse "HOME is not set; say where to install: --prefix DIR"
      prefix=$HOME/.local
    fi
  fi
  case $prefix in
    /*) ;;
    *) prefix=$PWD/$prefix ;;
  esac
  case $source in
    '' | /* | http://* | https://*) ;;
    *) source=$PWD/$source ;;
  esac
  prefix=${prefix%/}
  source=${source%/}
  "$action"
}

main "$@"
