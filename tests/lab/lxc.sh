#!/bin/sh
# A private LXC host, in mount, network and process namespaces of its own (lxc.py makes them): FOLDER is the lab's.
set -eu
folder=$1

# Where a libvirtd of root keeps what it has: the machine's own is out of sight.
for place in /run /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$place"
    mount -t tmpfs lab "$place"
done
# With both versions of control groups mounted, libvirt's LXC driver trips over the second.
if mountpoint -q /sys/fs/cgroup/unified; then
    umount /sys/fs/cgroup/unified
fi
ip link add lab0 type bridge
ip link set lab0 up
exec libvirtd --config "$folder/libvirtd.conf" --pid-file "$folder/run/libvirtd.pid"
