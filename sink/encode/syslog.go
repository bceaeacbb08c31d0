package encode

import (
	"bytes"
	"strconv"
	"strings"
)

// Facility of every message: security and authorization, which IHE ATNA asks for too.
const facility = 10

// NoEnterprise is the private enterprise number in the SD-ID unless the site gives its own: 0 is reserved at IANA, so that
// it is nobody else's. Stepaway has none.
const NoEnterprise = 0

const (
	app         = "stepaway"
	nilValue    = "-"
	bom         = "\xef\xbb\xbf"
	atnaMessage = "IHE+RFC-3881"
)

// Syslog writes messages of RFC 5424. Host is put in the place of a device that the event does not name.
type Syslog struct {
	Enterprise uint32
	Host       string
}

// Message gives the event as structured data, with a sentence for people.
func (s Syslog) Message(e Entry) []byte {
	b := s.header(e, facility*8+SyslogSeverity(e.Severity), string(e.Type))
	b = append(b, s.data(e)...)
	return append(b, " "+bom+e.sentence()...)
}

// ATNA gives the event as IHE ITI-20 carries it: a DICOM audit message in MSG.
func (s Syslog) ATNA(e Entry) ([]byte, error) {
	body, err := DICOM(e)
	if err != nil {
		return nil, err
	}
	severity := 5 // notice
	if e.outcome() > 0 {
		severity = 4 // warning
	}
	b := s.header(e, facility*8+severity, atnaMessage)
	b = append(b, nilValue+" "+bom...)
	return append(b, body...), nil
}

func (s Syslog) header(e Entry, priority int, id string) []byte {
	host := string(e.Device)
	if host == "" {
		host = s.Host
	}
	return []byte("<" + strconv.Itoa(priority) + ">1 " + e.Wall.UTC().Format("2006-01-02T15:04:05.000000Z") + " " +
		word(host, 255) + " " + app + " " + word(e.Run, 128) + " " + word(id, 32) + " ")
}

// word is a header field: visible ASCII without spaces, or the nil value.
func word(s string, most int) string {
	b := []byte(s)
	for i, c := range b {
		if c <= ' ' || c > '~' {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return nilValue
	}
	return string(b[:min(len(b), most)])
}

// data is STRUCTURED-DATA: whether the clock was in step, what wrote the event, and the event.
func (s Syslog) data(e Entry) string {
	var b strings.Builder
	synced := "0"
	if e.Synced {
		synced = "1"
	}
	b.WriteString(`[timeQuality tzKnown="1" isSynced="` + synced + `"][origin software="` + app + `"`)
	if e.Agent != "" {
		b.WriteString(` swVersion="` + paramValue(firstRunes(clean(e.Agent), 32)) + `"`)
	}
	b.WriteString("][" + app + "@" + strconv.FormatUint(uint64(s.Enterprise), 10))
	for _, f := range e.fields() {
		b.WriteString(" " + f.name + `="` + paramValue(f.text) + `"`)
	}
	b.WriteString("]")
	return b.String()
}

func firstRunes(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

var paramEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// paramValue escapes what RFC 5424 says to in PARAM-VALUE.
func paramValue(s string) string { return paramEscapes.Replace(s) }

// Frame puts a message before the next one by octet counting, RFC 5425.
func Frame(to *bytes.Buffer, message []byte) {
	to.WriteString(strconv.Itoa(len(message)))
	to.WriteByte(' ')
	to.Write(message)
}
