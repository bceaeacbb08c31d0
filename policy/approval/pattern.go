package approval

import "strings"

// patterns is a pattern list as ssh_config(5) has it: * and ? stand for characters, ! before one takes away.
type patterns []string

func patternList(s string) patterns { return strings.Split(s, ",") }

// match reports whether one of the patterns fits name and none with ! does.
func (ps patterns) match(name string) bool {
	fits := false
	for _, p := range ps {
		p, not := strings.CutPrefix(p, "!")
		if !fit(p, name) {
			continue
		}
		if not {
			return false
		}
		fits = true
	}
	return fits
}

// fit compares one pattern without its !. Its time is at most the product of the lengths, so that no pattern
// makes it slow.
func fit(pattern, name string) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0: // the last * takes one more
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
