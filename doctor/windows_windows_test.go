package doctor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"stepaway/packaging"
)

// TestMain keeps these tests, which write settings of the machine, to a Windows made for them.
func TestMain(m *testing.M) {
	if os.Getenv("STEPAWAY_WINE_TEST") == "" {
		fmt.Println("these tests change settings of this computer: run them with `make test`, in a Windows of their own")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// set writes a value, a number or a text, for the time of the test.
func set(t *testing.T, root registry.Key, key, name string, v any) {
	t.Helper()
	k, _, err := registry.CreateKey(root, key, registry.SET_VALUE|registry.WOW64_64KEY)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	switch v := v.(type) {
	case int:
		err = k.SetDWordValue(name, uint32(v))
	case string:
		err = k.SetStringValue(name, v)
	case []byte:
		err = k.SetBinaryValue(name, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if k, err := registry.OpenKey(root, key, registry.SET_VALUE|registry.WOW64_64KEY); err == nil {
			_ = k.DeleteValue(name)
			k.Close()
		}
	})
}

func worst(fs []Finding) (v Verdict, said string) {
	rank := map[Verdict]int{OK: 0, Note: 1, Warn: 2, Fail: 3}
	v = OK
	for _, f := range fs {
		said += f.Saw + "\n"
		if rank[f.Verdict] > rank[v] {
			v = f.Verdict
		}
	}
	return v, said
}

func TestSettingsOfWindows(t *testing.T) {
	const (
		system = `Software\Microsoft\Windows\CurrentVersion\Policies\System`
		logon  = `Software\Microsoft\Windows NT\CurrentVersion\Winlogon`
		wake   = `Software\Policies\Microsoft\Power\PowerSettings\0e796bdb-100d-47d6-a2d5-f7d2daa51f51`
	)
	for _, c := range []struct {
		name      string
		look      func() []Finding
		root      registry.Key
		key, word string
		value     any
		want      Verdict
	}{
		{"nothing said of locking", func() []Finding { return lockAllowed(t.Context(), nil) }, 0, "", "", nil, OK},
		{"locking forbidden", func() []Finding { return lockAllowed(t.Context(), nil) }, registry.LOCAL_MACHINE, system, "DisableLockWorkstation", 1, Fail},
		{"allowed in words", func() []Finding { return lockAllowed(t.Context(), nil) }, registry.LOCAL_MACHINE, system, "DisableLockWorkstation", 0, OK},
		{"forbidden to one user", func() []Finding { return lockAllowed(t.Context(), nil) }, registry.CURRENT_USER, system, "DisableLockWorkstation", 1, Fail},
		{"no automatic logon", func() []Finding { return autoLogon(t.Context(), nil) }, 0, "", "", nil, OK},
		{"automatic logon", func() []Finding { return autoLogon(t.Context(), nil) }, registry.LOCAL_MACHINE, logon, "AutoAdminLogon", "1", Fail},
		{"turned off", func() []Finding { return autoLogon(t.Context(), nil) }, registry.LOCAL_MACHINE, logon, "AutoAdminLogon", "0", OK},
		{"a password left behind", func() []Finding { return autoLogon(t.Context(), nil) }, registry.LOCAL_MACHINE, logon, "DefaultPassword", "x", Warn},
		{"no password after sleep", func() []Finding { return passwordAfterSleep(t.Context(), nil) }, registry.LOCAL_MACHINE, wake, "DCSettingIndex", 0, Fail},
		{"a password after sleep", func() []Finding { return passwordAfterSleep(t.Context(), nil) }, registry.LOCAL_MACHINE, wake, "DCSettingIndex", 1, OK},
		{"blank passwords everywhere", func() []Finding { return blankPasswords(t.Context(), nil) }, registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Control\Lsa`, "LimitBlankPasswordUse", 0, Fail},
		{"blank passwords here alone", func() []Finding { return blankPasswords(t.Context(), nil) }, registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Control\Lsa`, "LimitBlankPasswordUse", 1, OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.word != "" {
				set(t, c.root, c.key, c.word, c.value)
			}
			if got, said := worst(c.look()); got != c.want {
				t.Errorf("%s, want %s: %s", got, c.want, said)
			}
		})
	}
}

func TestSettingsOfAService(t *testing.T) {
	const key = `Software\stepaway-test`
	whole := map[string]any{"Start": 2, "ObjectName": "LocalSystem", "FailureActions": packaging.FailureActions(), "FailureActionsOnNonCrashFailures": 1}
	for _, c := range []struct {
		name  string
		value any
		want  Verdict
	}{
		{"", nil, OK}, {"Start", 3, Fail}, {"DelayedAutoStart", 1, Warn}, {"ObjectName", `.\somebody`, Fail},
		{"FailureActions", []byte{1}, Fail}, {"FailureActionsOnNonCrashFailures", 0, Warn},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, v := range whole {
				set(t, registry.LOCAL_MACHINE, key, name, v)
			}
			if c.name != "" {
				set(t, registry.LOCAL_MACHINE, key, c.name, c.value)
			}
			k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if got, said := worst(settings(k, "x", "LocalSystem")); got != c.want {
				t.Errorf("%s, want %s: %s", got, c.want, said)
			}
		})
	}
}

func TestProgramOfAService(t *testing.T) {
	for image, want := range map[string]Verdict{
		`"C:\windows\system32\x y.exe" service`: OK,
		`C:\windows\x.exe service`:              OK,
		`C:\windows\x y\x.exe service`:          Fail,
		`"C:\not there\x.exe"`:                  Fail,
	} {
		if f := program("x", image); f.Verdict != want {
			t.Errorf("%s: %s, want %s: %s", image, f.Verdict, want, f.Saw)
		}
	}
}

func TestPermissionsAsText(t *testing.T) {
	const want = "O:SYG:SYD:P(A;OICI;FA;;;SY)"
	for _, text := range []string{want, "O:SYG:SYD:PAI(A;OICI;FA;;;SY)", "O:SYG:SYD:PARAI(A;OICI;FA;;;SY)"} {
		sd, err := windows.SecurityDescriptorFromString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := permissions(sd); got != want {
			t.Errorf("%s is %s", text, got)
		}
	}
	sd, err := windows.SecurityDescriptorFromString("O:SYG:SYD:(A;OICI;FA;;;SY)")
	if err != nil {
		t.Fatal(err)
	}
	if got := permissions(sd); got == want || !strings.HasPrefix(got, "O:SYG:SYD:(") {
		t.Errorf("one that takes over what stands above: %s", got)
	}
}

// TestDoctor: every check answers, and what is not installed is said.
func TestDoctor(t *testing.T) {
	if got, said := worst(agentService(t.Context(), nil)); got != Fail && got != Warn {
		t.Errorf("no service, and %s: %s", got, said)
	}
	if got, said := worst(directory(`C:\nowhere`, packaging.Directories()[0].SDDL, &Machine{})); got != Warn {
		t.Errorf("no directory, and %s: %s", got, said)
	}
}

// TestChecksAreDescribed: the table in docs/windows.md is that of the checks.
func TestChecksAreDescribed(t *testing.T) {
	b, err := os.ReadFile("../docs/windows.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", c.id, c.about, c.means)
	}
	if !strings.Contains(strings.ReplaceAll(string(b), "\r\n", "\n"), table.String()) {
		t.Errorf("docs/windows.md lacks this table:\n%s", table.String())
	}
}
