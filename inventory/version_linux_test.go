package inventory

import "testing"

func TestVersionsInOrder(t *testing.T) {
	up := []string{"0.0.1-test", "0.0.1", "0.1.0-dev", "0.1.0", "0.1.0-2-gabcdef", "v0.1.0-12-gabcdef", "0.1.1", "0.9", "0.10.0", "1.2.0~beta3", "1.2-rc2",
		"1.2.0-rc10", "1.2.0", "1.2.0.1", "2"}
	for i, a := range up {
		for j, b := range up {
			if older(a, b) != (i < j) {
				t.Errorf("%s older than %s: %v", a, b, !(i < j))
			}
		}
	}
	for _, same := range [][2]string{{"1.2", "1.2.0"}, {"v1.2", "1.2"}, {"1.2+dirty", "1.2"}, {"", "1"}, {"(devel)", "1.0"}, {"1.0", "x.y"},
		{"-1", "1"}, {"1.-2", "1"}, {"99999999999999999999", "1"}} {
		if older(same[0], same[1]) || older(same[1], same[0]) {
			t.Errorf("%q and %q are put in order", same[0], same[1])
		}
	}
}
