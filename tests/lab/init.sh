#!/bin/busybox sh
# The guest's whole init: just enough of a system for an agent to feel at home in, in as few steps as
# possible, because each one is emulated. Kernel words it knows: virtwire.agent=off leaves the agent out,
# virtwire.state=on has a disk keep what it keeps.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux LANG=C.UTF-8

/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mkdir -p /dev/pts /dev/shm
/bin/busybox mount -t devpts devpts /dev/pts
/bin/busybox mount -t tmpfs -o mode=1777 tmpfs /dev/shm
/bin/busybox mount -t tmpfs -o mode=0755 tmpfs /run
/bin/busybox mount -t tmpfs -o mode=1777 tmpfs /tmp
read -r words </proc/cmdline

for module in virtio_pci virtio_console virtio_balloon virtio_blk virtio_net; do
    modprobe "$module"
done
ip link set lo up
for word in $words; do
    case $word in
        virtwire.hostname=*) hostname "${word#*=}" ;;
        virtwire.state=on) mkdir -p /var/lib/virtwire && mount /dev/vda /var/lib/virtwire ;;
    esac
done

# Starts a command again whenever it ends, a second later: what Restart=always does under systemd.
keep_alive() {
    log=$1
    shift
    while true; do
        "$@" >>"$log" 2>&1 </dev/null
        echo "init: '$*' ended with status $?" >>"$log"
        sleep 1
    done
}

keep_alive /var/log/lab.log python3 /opt/virtwire/guest_commands.py &
case " $words " in
    *" virtwire.agent=off "*) ;;
    *) keep_alive /var/log/guestagent.log guestagent run & ;;
esac
echo "init: up after $(cut -d ' ' -f 1 /proc/uptime) s"

# The first process may never end; it also reaps every orphan.
while true; do
    wait
    sleep 3600
done
