package main

import (
	"crypto/sha1"
	"fmt"
	"regexp"
	"strings"
)

// upgradeCode is the same in every version: it says which packages replace one another. It never changes.
const upgradeCode = "{D1C0B0B4-6A51-4E0C-9E4B-7C7D4D2F0A63}"

// identity makes a GUID of words, always the same one: a name-based UUID (version 5) in the space of upgradeCode.
func identity(words ...string) string {
	sum := sha1.Sum([]byte(upgradeCode + "\x00" + strings.Join(words, "\x00")))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return strings.ToUpper(fmt.Sprintf("{%x-%x-%x-%x-%x}", id[:4], id[4:6], id[6:8], id[8:10], id[10:]))
}

var numbered = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)($|[-+~])`)

// productVersion is a version as Windows Installer compares it: three numbers, below 256, 256 and 65536. What follows them is
// lost, so a candidate and its release count as equal, and each replaces the other.
func productVersion(v string) (string, error) {
	m := numbered.FindStringSubmatch(v)
	if m == nil {
		return "", fmt.Errorf("version %q does not begin with three numbers", v)
	}
	for i, below := range []int{256, 256, 65536} {
		var n int
		if _, err := fmt.Sscan(m[i+1], &n); err != nil || n >= below {
			return "", fmt.Errorf("version %q: Windows Installer takes numbers below %d in place %d", v, below, i+1)
		}
	}
	return strings.Join(m[1:4], "."), nil
}
