package render

import (
	"fmt"
	"strings"
	"time"

	"stepaway/policy"
)

// language holds what the generated texts say in one language, beside the table's own words.
type language struct {
	code string
	of   func(policy.Said) string

	about, supported                    string // of the template; supported takes a release
	from, orZero, whole, oneOf          string // bounds
	byDefault, unset, needed            string
	example, weaker, never              string
	second, seconds, inSeconds          string
	key, notConfigured, disabled, onOff string
	wholeList, columns, eachLine, piped string
	than                                map[policy.Weaker]string
	earlierWord                         string
}

var languages = []language{english, spanish}

var english = language{
	code:      "en-US",
	of:        func(s policy.Said) string { return s.En },
	about:     "Stepaway secures a workstation when the person using it steps away.",
	supported: "Stepaway %s or later",
	from:      "From %s to %s.", orZero: "0, or from %s to %s.", whole: "A whole number from 0 to %d.", oneOf: "One of %s.",
	byDefault: "Default: %s.", unset: "Not set by default.", needed: "Needed.",
	example: "for example %s", weaker: "Weaker: %s.", never: "0 is never, the weakest",
	second: "%d second", seconds: "%d seconds", inSeconds: "%s, in seconds",
	key:           "In policy.yaml: %s.",
	notConfigured: "Not configured: what a policy file sets holds, or else the default.",
	disabled:      "Disabled: as not configured.",
	onOff:         "Enabled: true. Disabled: false.",
	wholeList:     "The list takes the place of one that a policy file sets.",
	columns:       "On the left the name of an entry, on the right its value. An entry has the same name in every list.",
	eachLine:      "%s, one to a line", piped: "several separated by |",
	than: map[policy.Weaker]string{
		policy.Longer: "longer", policy.Earlier: "false", policy.Fewer: "an element less",
		policy.Replaced: "another value than the one that is set", policy.Change: "any change",
		policy.Inside:  "an entry less, or a weaker field in one",
		policy.Outcome: "where any user of any workstation is worse protected", policy.Neither: "neither way",
	},
	earlierWord: "an earlier word",
}

var spanish = language{
	code:      "es-ES",
	of:        func(s policy.Said) string { return s.Es },
	about:     "Stepaway protege un puesto de trabajo cuando quien lo usa se aleja.",
	supported: "Stepaway %s o posterior",
	from:      "De %s a %s.", orZero: "0, o de %s a %s.", whole: "Un número entero de 0 a %d.", oneOf: "Uno de %s.",
	byDefault: "Valor predeterminado: %s.", unset: "Sin valor predeterminado.", needed: "Necesario.",
	example: "por ejemplo %s", weaker: "Más débil: %s.", never: "0 es nunca, lo más débil",
	second: "%d segundo", seconds: "%d segundos", inSeconds: "%s, en segundos",
	key:           "En policy.yaml: %s.",
	notConfigured: "No configurada: rige lo que fija un archivo de directiva o, si no, el valor predeterminado.",
	disabled:      "Deshabilitada: como no configurada.",
	onOff:         "Habilitada: true. Deshabilitada: false.",
	wholeList:     "La lista sustituye a la que fija un archivo de directiva.",
	columns:       "A la izquierda el nombre de una entrada, a la derecha su valor. Una entrada tiene el mismo nombre en todas las listas.",
	eachLine:      "%s, uno por línea", piped: "varios separados por |",
	than: map[policy.Weaker]string{
		policy.Longer: "más largo", policy.Earlier: "false", policy.Fewer: "un elemento menos",
		policy.Replaced: "otro valor que el fijado", policy.Change: "cualquier cambio",
		policy.Inside:  "una entrada menos, o un campo más débil en una",
		policy.Outcome: "si algún usuario de algún puesto queda peor protegido", policy.Neither: "ningún valor",
	},
	earlierWord: "una palabra anterior",
}

// bounds says what is allowed, "" where the kind says it all. amount writes a duration.
func (l language) bounds(d policy.Definition, amount func(time.Duration) string) string {
	switch {
	case d.Kind == policy.KindDuration && d.OrZero && d.Min > 0:
		return fmt.Sprintf(l.orZero, amount(d.Min), amount(d.Max))
	case d.Kind == policy.KindDuration:
		return fmt.Sprintf(l.from, amount(d.Min), amount(d.Max))
	case d.Kind == policy.KindNumber:
		return fmt.Sprintf(l.whole, d.Most)
	case d.Kind == policy.KindWord && len(d.Meanings) == 0, d.Kind == policy.KindSwitch: // meanings stand beside
		return fmt.Sprintf(l.oneOf, strings.Join(d.Words, ", "))
	default:
		return ""
	}
}

// weakerBy says in which direction a value is weaker, without a full stop.
func (l language) weakerBy(d policy.Definition) string {
	switch {
	case d.Weaker == policy.Longer && d.OrZero && d.Min > 0:
		return l.than[d.Weaker] + "; " + l.never
	case d.Weaker == policy.Earlier && d.Kind == policy.KindWord:
		return l.earlierWord
	default:
		return l.than[d.Weaker]
	}
}

// standard says what holds where nothing is set. written is the default as it is written there.
func (l language) standard(d policy.Definition, written string) string {
	switch {
	case d.Required:
		return l.needed
	case written == "", written == "[]":
		return l.unset
	default:
		return fmt.Sprintf(l.byDefault, written)
	}
}

// rules are all sentences on the value of d, as policy.yaml writes it.
func (l language) rules(d policy.Definition) []string {
	return l.rulesBy(d, policy.Duration, d.Default)
}

func (l language) rulesBy(d policy.Definition, amount func(time.Duration) string, standard string) []string {
	var out []string
	weaker := fmt.Sprintf(l.weaker, l.weakerBy(d))
	if d.Weaker == policy.Neither && d.Required { // a name
		weaker = ""
	}
	for _, s := range []string{l.bounds(d, amount), l.standard(d, standard), weaker} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// field explains a field of an entry in one paragraph.
func (l language) field(d policy.Definition) string {
	return strings.Join(append([]string{l.explained(d)}, l.rules(d)...), " ")
}

// explained is the title, the help and what the words mean.
func (l language) explained(d policy.Definition) string {
	s := l.of(d.Title) + ". " + l.of(d.Help)
	if ms := l.meanings(d); len(ms) > 0 {
		s += " " + strings.Join(ms, "; ") + "."
	}
	return s
}

// meanings are the words of d with what they mean, one each.
func (l language) meanings(d policy.Definition) []string {
	var out []string
	for i, m := range d.Meanings {
		out = append(out, d.Words[i]+": "+l.of(m))
	}
	return out
}

// defaultSeconds of a duration.
func defaultSeconds(d policy.Definition) int64 {
	v, err := time.ParseDuration(d.Default)
	if err != nil {
		panic("render: " + d.Key + ": " + err.Error())
	}
	return inSeconds(v)
}

func inSeconds(d time.Duration) int64 { return int64(d / time.Second) }
