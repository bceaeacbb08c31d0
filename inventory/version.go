package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// older reports whether version a came before b: 1.9 before 1.10, 1.2-rc1 before 1.2, and 1.2 before 1.2-5-gabcdef, which
// is five commits after it. What cannot be put in order is not older.
func older(a, b string) bool {
	na, ra, oka := parseVersion(a)
	nb, rb, okb := parseVersion(b)
	return oka && okb && cmp.Or(slices.Compare(na, nb), cmp.Compare(ra, rb)) < 0
}

// parseVersion gives the numbers of a version without the zeros at its end, and its rank among versions of the same
// numbers.
func parseVersion(s string) (numbers []int, rank int, ok bool) {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "+")
	core, rest, more := strings.Cut(strings.ReplaceAll(s, "~", "-"), "-")
	for part := range strings.SplitSeq(core, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, 0, false
		}
		numbers = append(numbers, n)
	}
	for len(numbers) > 0 && numbers[len(numbers)-1] == 0 {
		numbers = numbers[:len(numbers)-1]
	}
	commits, _, described := strings.Cut(rest, "-g")
	n, err := strconv.Atoi(commits)
	switch {
	case !more:
		return numbers, 0, true
	case described && err == nil && n >= 0:
		return numbers, n, true
	}
	return numbers, before(rest), true
}

// before is the rank of what comes before a release, such as rc2: below 0, higher for a higher number at its end.
func before(word string) int {
	digits := word[len(strings.TrimRight(word, "0123456789")):]
	n, err := strconv.Atoi(digits)
	if err != nil || n >= 1<<20 {
		n = 0
	}
	stage := slices.Index([]string{"dev", "alpha", "beta", "rc"}, strings.TrimRight(strings.TrimSuffix(word, digits), ".-"))
	return -1<<30 + (stage+1)<<20 + n
}
