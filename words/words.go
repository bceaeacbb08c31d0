// Package words is everything that Stepaway says to the person at the screen, in each language, from one
// catalogue.
//
// Failure rules: an unknown language is English; an unknown key is the empty string; what fills a gap in a
// text is stripped of control and direction characters, so that a name can never rewrite the sentence
// around it. The package is pure: it reads nothing.
package words

import (
	"strings"
	"unicode"
)

// Language is one of the languages of the catalogue.
type Language uint8

// The languages, English first: it is the one used when no other is asked for.
const (
	English Language = iota
	Spanish
	languages
)

// Catalogue says every text in one language. The zero value speaks English.
type Catalogue struct{ lang Language }

// In is the catalogue in language l.
func In(l Language) Catalogue {
	if l >= languages {
		l = English
	}
	return Catalogue{lang: l}
}

// Pick chooses the language as POSIX does: the first of LC_ALL, LC_MESSAGES and LANG that is set. env
// looks a variable up, as os.Getenv does.
func Pick(env func(string) string) Catalogue {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := env(name); locale != "" {
			return In(languageOf(locale))
		}
	}
	return In(English)
}

// languageOf reads a locale such as "es_MX.UTF-8".
func languageOf(locale string) Language {
	end := strings.IndexAny(locale, "_.@-")
	if end < 0 {
		end = len(locale)
	}
	if strings.EqualFold(locale[:end], "es") {
		return Spanish
	}
	return English
}

// Language is the language that c speaks.
func (c Catalogue) Language() Language { return c.lang }

// Text is the text of k. fills are pairs: the name of a gap without its braces, and what goes there.
func (c Catalogue) Text(k Key, fills ...string) string {
	if int(k) >= len(texts) {
		return ""
	}
	text := texts[k][c.lang]
	if len(fills) == 0 {
		return text
	}
	pairs := make([]string, 0, len(fills))
	for i := 0; i+1 < len(fills); i += 2 {
		pairs = append(pairs, "{"+fills[i]+"}", Clean(fills[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Clean makes one line of printable characters of s: control characters, line breaks and the marks that
// turn the direction of writing are left out.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
