package encode

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
)

// dicomMessage is AuditMessage of DICOM PS3.15 A.5.1.
type dicomMessage struct {
	XMLName      xml.Name           `xml:"AuditMessage"`
	Event        dicomEvent         `xml:"EventIdentification"`
	Participants []dicomParticipant `xml:"ActiveParticipant"`
	Source       dicomSource        `xml:"AuditSourceIdentification"`
	Object       dicomObject        `xml:"ParticipantObjectIdentification"`
}

type dicomCode struct {
	Code   string `xml:"csd-code,attr"`
	System string `xml:"codeSystemName,attr"`
	Text   string `xml:"originalText,attr"`
}

type dicomEvent struct {
	Action      string      `xml:"EventActionCode,attr"`
	Time        string      `xml:"EventDateTime,attr"`
	Outcome     string      `xml:"EventOutcomeIndicator,attr"`
	ID          dicomCode   `xml:"EventID"`
	Types       []dicomCode `xml:"EventTypeCode"`
	Description string      `xml:"EventOutcomeDescription,omitempty"`
}

type dicomParticipant struct {
	User      string      `xml:"UserID,attr"`
	Other     string      `xml:"AlternativeUserID,attr,omitempty"`
	Requestor bool        `xml:"UserIsRequestor,attr"`
	Node      string      `xml:"NetworkAccessPointID,attr"`
	NodeKind  string      `xml:"NetworkAccessPointTypeCode,attr"`
	Roles     []dicomCode `xml:"RoleIDCode"`
}

type dicomSource struct {
	Site string         `xml:"AuditEnterpriseSiteID,attr,omitempty"`
	ID   string         `xml:"AuditSourceID,attr"`
	Type dicomPlainCode `xml:"AuditSourceTypeCode"`
}

type dicomPlainCode struct {
	Code string `xml:"csd-code,attr"`
}

type dicomObject struct {
	ID      string        `xml:"ParticipantObjectID,attr"`
	Type    string        `xml:"ParticipantObjectTypeCode,attr"`
	Role    string        `xml:"ParticipantObjectTypeCodeRole,attr"`
	IDType  dicomCode     `xml:"ParticipantObjectIDTypeCode"`
	Name    string        `xml:"ParticipantObjectName"`
	Details []dicomDetail `xml:"ParticipantObjectDetail"`
}

type dicomDetail struct {
	Type  string `xml:"type,attr"`
	Value string `xml:"value,attr"` // base64
}

const dcm = "DCM"

var (
	application = Code{"110150", "Application"}
	uri         = Code{"12", "URI"}
)

// Codes of DICOM and FHIR for what takes part in an event.
const (
	machineName    = "1"  // NetworkAccessPointTypeCode
	userDevice     = "1"  // AuditSourceTypeCode
	systemObject   = "2"  // ParticipantObjectTypeCode
	securityObject = "13" // ParticipantObjectTypeCodeRole: security resource
)

// DICOM gives the event as an audit message of DICOM PS3.15 A.5, in one line. The event's id is the ParticipantObjectID,
// and every field is a detail of that object.
func DICOM(e Entry) ([]byte, error) {
	b, err := xml.Marshal(dicomMessage{Event: e.dicomEvent(), Participants: e.dicomParticipants(),
		Source: dicomSource{Site: clean(string(e.Site)), ID: e.node(), Type: dicomPlainCode{userDevice}},
		Object: e.dicomObject()})
	if err != nil {
		return nil, fmt.Errorf("encode event %s as DICOM: %w", e.ID(), err)
	}
	return append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`), b...), nil
}

func (c Code) dicom(system string) dicomCode { return dicomCode{c.Value, system, c.Meaning} }

func (e Entry) dicomEvent() dicomEvent {
	r := RowOf(e.Type)
	d := dicomEvent{Action: Action, Time: e.Wall.UTC().Format("2006-01-02T15:04:05.000Z"), Outcome: strconv.Itoa(e.outcome()),
		ID: r.Event.dicom(dcm)}
	if r.Type != noOwn {
		d.Types = append(d.Types, r.Type.dicom(dcm))
	}
	d.Types = append(d.Types, dicomCode{clean(string(e.Type)), app, r.Title})
	if e.outcome() > 0 {
		d.Description = e.sentence()
	}
	return d
}

// dicomParticipants are the person, if the event is about a session, and Stepaway on this node.
func (e Entry) dicomParticipants() (ps []dicomParticipant) {
	asked := e.asked()
	if s := e.Session; s != nil {
		ps = append(ps, dicomParticipant{User: e.user(), Other: clean(s.Account()),
			Requestor: asked, Node: e.node(), NodeKind: machineName})
	}
	return append(ps, dicomParticipant{User: app + "@" + e.node(), Requestor: !asked, Node: e.node(), NodeKind: machineName,
		Roles: []dicomCode{application.dicom(dcm)}})
}

func (e Entry) dicomObject() dicomObject {
	o := dicomObject{ID: "urn:uuid:" + e.ID(), Type: systemObject, Role: securityObject, IDType: uri.dicom("RFC-3881"),
		Name: "audit event"}
	for _, f := range e.fields() {
		o.Details = append(o.Details, dicomDetail{f.name, base64.StdEncoding.EncodeToString([]byte(f.text))})
	}
	return o
}
