package main

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// login is who logged on, also behind su or sudo, as the kernel keeps it.
func login() string {
	b, err := os.ReadFile("/proc/self/loginuid")
	id := strings.TrimSpace(string(b))
	if n, bad := strconv.ParseInt(id, 10, 64); err != nil || bad != nil || n == 1<<32-1 {
		return "root"
	}
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}
