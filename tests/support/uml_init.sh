#!/bin/sh
# Process 1 of the user-mode Linux guest that tests/support/uml.py boots. Its root is the host's (hostfs), so whatever it
# writes outside of the tmpfs mounts below lands on the host: nothing here may.
#   NFSW_JOB         folder of the host with the command to run (`command`, a shell script)
#   /dev/tty1        the way back to the host: one line `up`, whatever the command sends, one line `exit CODE`
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# What this script prints goes to the console, which the host keeps in console.log.
halt() {
    sync
    echo "exit $1" >/dev/tty1
    # Not `poweroff`: that would need systemd's or busybox's. The kernel takes the letter o as "power off".
    echo 1 >/proc/sys/kernel/sysrq 2>/dev/null || true
    echo o >/proc/sysrq-trigger
    while :; do sleep 1; done
}

mount -t proc proc /proc
mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
stty raw -echo </dev/tty1
trap 'halt 125' EXIT # process 1 must not end: the kernel would panic, and the host would not learn why

mkdir -p /dev/shm /dev/pts
for place in /dev/shm /run /var/lib/nfs; do mount -t tmpfs tmpfs "$place"; done
mount -t devpts devpts /dev/pts
here=/run/nfsw
mkdir -p "$here/export" "$here/mnt" "$here/tmp"
ip link set lo up

# The kernel's modules do not lie where modprobe looks, and /lib is the host's.
mkdir -p "$here/root/lib/modules"
ln -s "/usr/lib/uml/modules/$(uname -r)" "$here/root/lib/modules/$(uname -r)"
for module in nfsd nfsv4 fuse cls_u32 act_gact sch_ingress sch_netem sch_prio; do modprobe -d "$here/root" "$module"; done

# The server. nfsdcld remembers the clients over a restart, as Debian's units have it: with it the grace period after a
# restart ends when every client has reclaimed its state, without it only after 90 s.
mount -t tmpfs -o "size=$NFSW_EXPORT_SIZE" tmpfs "$here/export"
mkdir -p /run/rpc_pipefs /var/lib/nfs/nfsdcld
mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
mount -t nfsd nfsd /proc/fs/nfsd
echo 1048576 >/proc/fs/nfsd/max_block_size # the default goes by memory, and would make the mount's rsize smaller
nfsdcld -p /run/rpc_pipefs
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
exportfs -o rw,sync,fsid=0,no_subtree_check,no_root_squash,insecure "127.0.0.0/8:$here/export"
rpc.mountd -N 2 -N 3 --no-udp
rpc.nfsd -N 3 -V 4.1 --no-udp 4

# The client: the mount options of k3s/.
mount -t nfs4 -o hard,nfsvers=4.1,actimeo=5,rsize=1048576,wsize=1048576 127.0.0.1:/ "$here/mnt"
echo up >/dev/tty1

set +e
sh "$NFSW_JOB/command" </dev/null
halt $?
