#!/bin/bash
# container.sh [SUITE]: make sure that the root file system of a test container exists, and print its path. SUITE is bookworm
# (Debian 12, with an X desktop; the default) or trixie (Debian 13, with Wayland compositors and their lockers).
#
# It is built once, kept in $STEPAWAY_RIG_DIR (default /var/tmp/stepaway-rig), and built again, beside the old one that
# tests may still run on, only when what goes into it changes here. Packages come from the mirror that this machine's
# apt already uses. Nothing ever runs in this root: a test boots it with an overlay of its own (see container.go), so
# concurrent runs do not see one another.
set -euo pipefail

mirror() { # the mirror that this machine already uses
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sort -u | head -1
}

# next unpacks sway of the Debian after SUITE below /opt/next, with the libraries that it needs newer: the compositors of
# Debian 13 have ext-idle-notify in version 1 only.
next() {
	local at="-o Acquire::Check-Valid-Until=false -o Dir::Etc::sourcelist=/opt/next.list -o Dir::Etc::sourceparts=- -o Dir::Cache::archives=/opt/debs"
	mkdir -p "$1/opt/next" "$1/opt/debs/partial"
	echo "deb $2 forky main" >"$1/opt/next.list"
	chroot "$1" apt-get $at -qq update
	chroot "$1" apt-get $at -qq -y --no-install-recommends --download-only install sway
	chroot "$1" sh -ec 'for d in /opt/debs/*.deb; do dpkg -x "$d" /opt/next; done; rm -r /opt/debs /opt/next.list'
}

DIR=${STEPAWAY_RIG_DIR:-/var/tmp/stepaway-rig}
SUITE=${1:-bookworm}
BOOKWORM=(
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
TRIXIE=(
	# the system
	systemd-sysv dbus dbus-user-session libpam-systemd login polkitd procps libglib2.0-bin fonts-dejavu-core
	# compositors without hardware, what types in them, and what shows what they offer
	sway labwc kwin-wayland wtype wayland-utils foot swayidle grim
	gnome-shell gdm3
	# lockers
	swaylock gtklock
	# X, with the savers of desktops
	xvfb xauth x11-utils xdotool xfwm4 i3lock xss-lock mate-screensaver xfce4-screensaver
)
HOOKS=()
case $SUITE in
bookworm) PACKAGES=("${BOOKWORM[@]}") ;;
trixie)
	PACKAGES=("${TRIXIE[@]}")
	HOOKS=("--customize-hook=$(declare -f next); next \"\$1\" '$(mirror)'")
	;;
*) echo "container.sh: no root for '$SUITE' (bookworm, trixie)" >&2; exit 2 ;;
esac

build() {
	local new=$ROOT.new
	rm -rf "$new"
	find "$DIR" -mindepth 1 -maxdepth 1 -name "root-$SUITE-*" -mtime +1 -exec rm -rf {} +
	mmdebstrap -q --variant=apt --mode=root --include="$(IFS=,; echo "${PACKAGES[*]}")" \
		--aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "${HOOKS[@]}" "$SUITE" "$new" "$(mirror)" >&2
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
	ln -sf /usr/lib/systemd/system/multi-user.target "$new/etc/systemd/system/default.target" # a greeter only where a test wants it
	rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
	mkdir -p "$new/var/log/journal" && rmdir "$new/var/log/journal" # journal in memory
	touch "$new" && mv "$new" "$ROOT"
}

ROOT=$DIR/root-$SUITE-$({ echo "${PACKAGES[@]}"; declare -f build next; } | sha256sum | cut -c1-12)
for tool in mmdebstrap systemd-nspawn nsenter flock; do
	command -v "$tool" >/dev/null || { echo "container.sh: $tool is missing: run \`make deps\`" >&2; exit 1; }
done
mkdir -p "$DIR"
if [ ! -d "$ROOT" ]; then
	exec 9>"$DIR/mutex-$SUITE"
	flock 9
	[ -d "$ROOT" ] || build
fi
echo "$ROOT"
