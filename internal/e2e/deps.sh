#!/bin/sh
# deps.sh: installs from Debian what the lab of the end-to-end tests needs, and
# only what is missing. Needs root. No service is started: everything runs in
# the lab's own hosts, and a daemon of the system would be in the way.
#
#   deps.sh          install what is missing
#   deps.sh --list   say what is needed and why, and whether it is there
set -eu

needed() {
	cat <<-'LIST'
	iproute2          hosts, bridges and cables of the LAN (ip)
	util-linux        the hosts' own view of the system (mount, unshare)
	hostname          the hosts' names
	nftables          loss and blocked paths (nft)
	tcpdump           captures of what is on the LAN
	dbus              the private message bus that avahi needs
	avahi-daemon      the mDNS stack of most Linux machines
	avahi-utils       avahi-browse and avahi-publish
	python3-zeroconf  a third mDNS implementation, as an observer
	libpurple0        the Bonjour (XEP-0174) client of Pidgin
	libpurple-bin     its helper programs
	libpurple-dev     to build our window-less front end for it
	libglib2.0-dev    the same
	pidgin-data       data files that libpurple loads
	gcc               to build the front end
	libc6-dev         the same
	pkg-config        the same
	prosody           an XMPP server
	ejabberd          another XMPP server
	python3-slixmpp   a remote XMPP client that nobody here wrote
	ca-certificates   the Go module proxy, for the build itself
	make              the Makefile
	LIST
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if [ "${1:-}" = --list ]; then
	needed | while read -r package why; do
		if installed "$package"; then state=there; else state=MISSING; fi
		printf '%-8s %-17s %s\n' "$state" "$package" "$why"
	done
	exit 0
fi

missing=$(needed | while read -r package why; do
	installed "$package" || { echo "$package"; echo "deps.sh: $package is missing: $why" >&2; }
done)
if [ -z "$missing" ]; then
	echo "deps.sh: everything the lab needs is installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps.sh: run me as root to install them" >&2
	exit 1
fi

# Debian starts services as it installs them. invoke-rc.d and
# deb-systemd-invoke ask this program first; 101 means: do not.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update
# shellcheck disable=SC2086 # one word for each package
apt-get install -y --no-install-recommends $missing
echo "deps.sh: installed" $missing
