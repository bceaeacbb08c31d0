#!/bin/bash
# container.sh: make sure that the root file system of the test container exists, and print its path.
#
# It is built once, kept in $STEPAWAY_RIG_DIR (default /var/tmp/stepaway-rig), and built again, beside the old one that
# tests may still run on, only when this file changes. Packages come from the mirror that this machine's apt already
# uses. Nothing ever runs in this root: a test boots it with an overlay of its own (see container.go), so concurrent runs
# do not see one another.
set -euo pipefail

DIR=${STEPAWAY_RIG_DIR:-/var/tmp/stepaway-rig}
stamp=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-12)
ROOT=$DIR/root-$stamp
SUITE=bookworm
PACKAGES=(
	# the system
	systemd-sysv dbus dbus-user-session dbus-x11 libpam-systemd polkitd openssh-server procps python3-minimal
	libpython3-stdlib
	# a desktop without hardware
	xvfb xauth x11-utils x11-xserver-utils xdotool xfwm4 xfce4-panel fonts-dejavu-core imagemagick libnotify-bin dunst
	libgtk-3-0 libayatana-appindicator3-1
	# lockers
	i3lock xss-lock xsecurelock
	# a directory of users beside the local files
	libnss-extrausers
)

mirror() { # the mirror that this machine already uses
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sort -u | head -1
}

build() {
	local new=$ROOT.new
	rm -rf "$new"
	find "$DIR" -mindepth 1 -maxdepth 1 -name 'root*' -mtime +1 -exec rm -rf {} +
	mmdebstrap -q --variant=apt --mode=root --include="$(IFS=,; echo "${PACKAGES[*]}")" \
		--aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "$SUITE" "$new" "$(mirror)" >&2
	local user
	for user in nurse doctor; do
		chroot "$new" useradd -m -s /bin/bash "$user"
		echo "$user:$user" | chroot "$new" chpasswd
	done
	chroot "$new" groupadd clinicians
	chroot "$new" usermod -aG clinicians nurse
	chroot "$new" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
		fstrim.timer e2scrub_reap.service systemd-timesyncd.service systemd-networkd-wait-online.service \
		networking.service ssh.service getty.target console-getty.service systemd-journal-flush.service >&2
	rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
	mkdir -p "$new/var/log/journal" && rmdir "$new/var/log/journal" # journal in memory
	touch "$new" && mv "$new" "$ROOT"
}

for tool in mmdebstrap systemd-nspawn nsenter flock; do
	command -v "$tool" >/dev/null || { echo "container.sh: $tool is missing: run \`make deps\`" >&2; exit 1; }
done
mkdir -p "$DIR"
exec 9>"$DIR/mutex"
flock 9
[ -d "$ROOT" ] || build
echo "$ROOT"
