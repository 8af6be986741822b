# Process 1 of a host: makes the host's own view of the system, says so, and
# lives until its standard input ends; the kernel then ends the whole host.
# $1 = host name, $2 = directory with etc/, $3 = "lan" or "local" (local: the
# network and the names of the machine itself).
set -e
hostname "$1"
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dbus /run/lock /run/meshgate /run/user/0 /run/netns
if [ "$3" = lan ]; then
	for f in hostname hosts resolv.conf machine-id; do
		# A file that the machine lacks is one that nobody here can confuse.
		if [ -e "/etc/$f" ]; then mount --bind "$2/etc/$f" "/etc/$f"; fi
	done
	ip link set lo up
fi
if [ "$(awk '{print $3}' /proc/self/uid_map | head -1)" = 1 ]; then
	# In an unprivileged user namespace only one uid is mapped: avahi must be root.
	mount --bind "$2/etc/passwd" /etc/passwd
	mount --bind "$2/etc/group" /etc/group
fi
echo ready
# A built-in, so that this shell goes on reaping what the host orphans.
while read -r _; do :; done
