package packaging

import (
	"os"
	"strings"
	"testing"
)

// TestSurface: what docs/attack-surface.md says of Windows is what the programs and packages do.
func TestSurface(t *testing.T) {
	b, err := os.ReadFile("../docs/attack-surface.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if cells := strings.Split(line, " | "); len(cells) == 3 && strings.Contains(cells[1], "D:") {
			rows[strings.TrimPrefix(cells[0], "| ")] = strings.Trim(cells[1], "`")
		}
	}
	want := map[string]string{
		"services `" + AgentService + "`, `" + CourierService + "`": ServiceSDDL,
		"`" + LinkPipe + "`":       LinkSDDL(),
		"`HKLM\\" + EnrolKey + "`": EnrolSDDL(),
	}
	for _, d := range Directories() {
		want["`"+strings.TrimSuffix(`%ProgramData%\`+DataName+`\`+d.Path, `\`)+"`"] = d.SDDL
	}
	for what, sddl := range want {
		if rows[what] != sddl {
			t.Errorf("%s is described as %q, want %q", what, rows[what], sddl)
		}
		delete(rows, what)
	}
	for what := range rows {
		t.Errorf("%s is described, and there is no such thing", what)
	}
}
