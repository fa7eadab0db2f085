#!/bin/sh
# Prints the path of a Go toolchain that can build this repository: the one on PATH
# if it is new enough; otherwise, on Debian as root, a pinned toolchain that Debian's
# older Go downloads as a module into the cache. Messages are written to standard
# error.
#
#   GO := $(shell hack/go.sh)
set -eu

minimum=26            # of Go 1.x
pinned=go1.26.8
cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ecommerce-stack"

log() { echo "go.sh: $*" >&2; }

# new_enough PROGRAM reports whether it is Go 1.$minimum or later.
new_enough() {
	version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	minor=$(echo "$version" | sed -n 's/^go1\.\([0-9][0-9]*\).*/\1/p')
	[ -n "$minor" ] && [ "$minor" -ge "$minimum" ]
}

for candidate in "$(command -v go || true)" /usr/local/go/bin/go; do
	if [ -n "$candidate" ] && [ -x "$candidate" ] && new_enough "$candidate"; then
		echo "$candidate"
		exit 0
	fi
done

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) platform=linux-amd64 ;;
Linux-aarch64) platform=linux-arm64 ;;
*) log "Go 1.$minimum or later is required: install it, then run this command again"; exit 1 ;;
esac

toolchain="$cache/go/$pinned"
if new_enough "$toolchain/bin/go"; then
	echo "$toolchain/bin/go"
	exit 0
fi

if ! command -v go >/dev/null 2>&1; then
	if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
		log "Go 1.$minimum or later is required: install it, or run this command as root on Debian"
		exit 1
	fi
	log "Go is not installed: installing Debian's golang-go to download $pinned"
	apt-get install -y --no-install-recommends golang-go ca-certificates >&2 ||
		{ apt-get update >&2 && apt-get install -y --no-install-recommends golang-go ca-certificates >&2; }
fi

module="golang.org/toolchain@v0.0.1-$pinned.$platform"
log "downloading $module"
work=$(mktemp -d)
(while sleep 2 && kill -0 "$$" 2>/dev/null; do log "  $(du -sh "$work" | cut -f1)"; done) >/dev/null &
progress=$!
trap 'kill "$progress" 2>/dev/null; rm -rf "$work"' EXIT
(cd "$work" && echo 'module fetch' >go.mod && GOFLAGS=-modcacherw GOTOOLCHAIN=local GOMODCACHE="$work/mod" go mod download "$module" >&2)
source="$work/mod/$module"
[ -d "$source" ] || { log "cannot download $module: install Go 1.$minimum or later manually"; exit 1; }

# Files in modules have no execute permission.
chmod +x "$source"/bin/* "$source"/pkg/tool/*/*
mkdir -p "$cache/go"
rm -rf "$toolchain"
cp -R "$source" "$toolchain.new.$$"
mv "$toolchain.new.$$" "$toolchain"
new_enough "$toolchain/bin/go" || { log "cannot run $toolchain/bin/go"; exit 1; }
echo "$toolchain/bin/go"
