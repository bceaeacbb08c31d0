#!/bin/bash
# image.sh: make sure that the disk of the test machine exists, and print the directory with disk.raw, vmlinuz and initrd.
#
# A Debian 12 with its own kernel, lightdm, XFCE with its packages' first choice of locker, and nothing of ours. It is built
# once (about two minutes), kept in $STEPAWAY_MACHINE_DIR (default /opt/stepaway-machine), and built again only when this
# file changes. Packages come from the mirror that this machine's apt already uses, and are installed in a chroot: that takes
# a tenth of the time it takes in the machine. No machine ever writes to this disk.
set -euo pipefail

DIR=${STEPAWAY_MACHINE_DIR:-/opt/stepaway-machine}
stamp=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-12)
IMAGE=$DIR/disk-$stamp
SUITE=bookworm
PACKAGES=(
	# the system
	linux-image-amd64 initramfs-tools systemd-sysv dbus dbus-user-session udev libpam-systemd polkitd kmod procps
	util-linux-extra
	# the desktop
	xserver-xorg-core xserver-xorg-input-libinput xserver-xorg-video-fbdev lightdm lightdm-gtk-greeter light-locker xfce4-session
	xfwm4 xfce4-panel xfdesktop4 xfce4-settings xfce4-notifyd xfce4-power-manager x11-xserver-utils adwaita-icon-theme
	fonts-dejavu-core
	# what the tray needs
	libgtk-3-0 libayatana-appindicator3-1
	# what tests call
	xdotool x11-utils libglib2.0-bin xss-lock
)

mirror() { # the mirror that this machine already uses
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sort -u | head -1
}

configure() { # configure ROOT
	local root=$1 user
	echo ward3-pc07 >"$root/etc/hostname"
	echo "127.0.0.1 localhost ward3-pc07" >"$root/etc/hosts"
	echo "/dev/vda / ext4 defaults,noatime 0 1" >"$root/etc/fstab"
	for user in nurse doctor; do
		chroot "$root" useradd -m -s /bin/bash "$user"
		echo "$user:$user" | chroot "$root" chpasswd
	done
	chroot "$root" groupadd clinicians
	chroot "$root" usermod -aG clinicians nurse
	chroot "$root" systemctl set-default -q graphical.target
	chroot "$root" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
		fstrim.timer man-db.timer e2scrub_reap.service systemd-timesyncd.service networking.service
	plain "$root/etc/xdg/xfce4/xfconf/xfce-perchannel-xml"
	# The way in for tests: a program from the second disk, behind a port of virtio. That disk does not stay mounted, because
	# a machine that is woken from a kept state gets another one.
	mkdir -p "$root/payload"
	cat >"$root/etc/systemd/system/rig-guest.service" <<-'UNIT'
		[Unit]
		DefaultDependencies=no
		After=systemd-udevd.service local-fs.target
		Conflicts=shutdown.target

		[Service]
		ExecStartPre=/usr/bin/udevadm wait -t 60 /dev/vdb /dev/virtio-ports/rig
		ExecStartPre=-/usr/bin/mount -t ext4 -o ro /dev/vdb /payload
		ExecStartPre=-/usr/bin/install /payload/guest /usr/local/sbin/rig-guest
		ExecStartPre=-/usr/bin/umount /payload
		ExecStart=/usr/local/sbin/rig-guest
		Restart=always
		RestartSec=1
		OOMScoreAdjust=-1000

		[Install]
		WantedBy=sysinit.target
	UNIT
	chroot "$root" systemctl enable -q rig-guest.service
}

plain() { # plain DIR: a desktop that an emulated processor can draw: no compositing, four things in the panel
	mkdir -p "$1"
	cat >"$1/xfwm4.xml" <<-'XML'
		<?xml version="1.0" encoding="UTF-8"?>
		<channel name="xfwm4" version="1.0">
		  <property name="general" type="empty"><property name="use_compositing" type="bool" value="false"/></property>
		</channel>
	XML
	cat >"$1/xfce4-panel.xml" <<-'XML'
		<?xml version="1.0" encoding="UTF-8"?>
		<channel name="xfce4-panel" version="1.0">
		  <property name="configver" type="int" value="2"/>
		  <property name="panels" type="array">
		    <value type="int" value="1"/>
		    <property name="panel-1" type="empty">
		      <property name="position" type="string" value="p=6;x=0;y=0"/>
		      <property name="length" type="uint" value="100"/>
		      <property name="position-locked" type="bool" value="true"/>
		      <property name="size" type="uint" value="26"/>
		      <property name="plugin-ids" type="array">
		        <value type="int" value="1"/><value type="int" value="2"/><value type="int" value="3"/><value type="int" value="4"/>
		      </property>
		    </property>
		  </property>
		  <property name="plugins" type="empty">
		    <property name="plugin-1" type="string" value="tasklist"/>
		    <property name="plugin-2" type="string" value="separator">
		      <property name="expand" type="bool" value="true"/><property name="style" type="uint" value="0"/>
		    </property>
		    <property name="plugin-3" type="string" value="systray"/>
		    <property name="plugin-4" type="string" value="clock"/>
		  </property>
		</channel>
	XML
}

build() {
	local new=$IMAGE.new root=$IMAGE.new/root
	rm -rf "$new"
	find "$DIR" -mindepth 1 -maxdepth 1 -name 'disk-*' -mtime +1 -exec rm -rf {} +
	mkdir -p "$new"
	# shellcheck disable=SC2016 # mmdebstrap expands $1
	mmdebstrap -q --variant=apt --mode=root --include="$(IFS=,; echo "${PACKAGES[*]}")" \
		--aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--setup-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
		--setup-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/rig"' \
		--setup-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/usr/share/initramfs-tools/modules.d/rig"' \
		"$SUITE" "$root" "$(mirror)" >&2
	configure "$root" >&2
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
	mkdir -p "$root/var/log/journal" && rmdir "$root/var/log/journal" # journal in memory
	cp "$root"/boot/vmlinuz-* "$new/vmlinuz"
	cp "$root"/boot/initrd.img-* "$new/initrd"
	truncate -s 4G "$new/disk.raw"
	mke2fs -q -t ext4 -d "$root" "$new/disk.raw"
	rm -rf "$root"
	mv "$new" "$IMAGE"
	echo "image.sh: $IMAGE, $(du -sh "$IMAGE" | cut -f1), in $SECONDS s" >&2
}

for tool in mmdebstrap mke2fs flock; do
	command -v "$tool" >/dev/null || { echo "image.sh: $tool is missing: run \`test/deps.sh machine\`" >&2; exit 1; }
done
mkdir -p "$DIR"
exec 9>"$DIR/mutex"
flock 9
[ -d "$IMAGE" ] || build
echo "$IMAGE"
