package encode

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Code systems of FHIR R4.
const (
	dcmSystem    = "http://dicom.nema.org/resources/ontology/DCM"
	sourceSystem = "http://terminology.hl7.org/CodeSystem/security-source-type"
	entitySystem = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	roleSystem   = "http://terminology.hl7.org/CodeSystem/object-role"
	uriSystem    = "urn:ietf:rfc:3986"
)

type fhirCoding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type fhirConcept struct {
	Coding []fhirCoding `json:"coding"`
}

type fhirIdentifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type fhirReference struct {
	Identifier fhirIdentifier `json:"identifier"`
	Display    string         `json:"display,omitempty"`
}

type fhirEvent struct {
	ResourceType string       `json:"resourceType"`
	Type         fhirCoding   `json:"type"`
	Subtype      []fhirCoding `json:"subtype"`
	Action       string       `json:"action"`
	Recorded     string       `json:"recorded"`
	Outcome      string       `json:"outcome"`
	OutcomeDesc  string       `json:"outcomeDesc,omitempty"`
	Agent        []fhirAgent  `json:"agent"`
	Source       fhirSource   `json:"source"`
	Entity       []fhirEntity `json:"entity"`
}

type fhirAgent struct {
	Role      []fhirConcept `json:"role,omitempty"`
	Who       fhirReference `json:"who"`
	AltID     string        `json:"altId,omitempty"`
	Name      string        `json:"name,omitempty"`
	Requestor bool          `json:"requestor"`
	Network   fhirNetwork   `json:"network"`
}

type fhirNetwork struct {
	Address string `json:"address"`
	Type    string `json:"type"`
}

type fhirSource struct {
	Site     string        `json:"site,omitempty"`
	Observer fhirReference `json:"observer"`
	Type     []fhirCoding  `json:"type"`
}

type fhirEntity struct {
	What   fhirReference `json:"what"`
	Type   fhirCoding    `json:"type"`
	Role   fhirCoding    `json:"role"`
	Name   string        `json:"name"`
	Detail []fhirDetail  `json:"detail"`
}

type fhirDetail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

type fhirBundle struct {
	ResourceType string            `json:"resourceType"`
	Type         string            `json:"type"`
	Entry        []fhirBundleEntry `json:"entry"`
}

type fhirBundleEntry struct {
	FullURL  string      `json:"fullUrl"`
	Resource fhirEvent   `json:"resource"`
	Request  fhirRequest `json:"request"`
}

type fhirRequest struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

// FHIR gives the event as a FHIR R4 AuditEvent, in one line. The event's id is the identifier of its entity, since an
// AuditEvent has none of its own.
func FHIR(e Entry) ([]byte, error) {
	b, err := json.Marshal(e.fhir())
	if err != nil {
		return nil, fmt.Errorf("encode event %s as FHIR: %w", e.ID(), err)
	}
	return b, nil
}

// FHIRBatch gives a Bundle of type batch that creates each event by itself.
func FHIRBatch(es []Entry) ([]byte, error) {
	bundle := fhirBundle{ResourceType: "Bundle", Type: "batch"}
	for _, e := range es {
		bundle.Entry = append(bundle.Entry, fhirBundleEntry{FullURL: "urn:uuid:" + e.ID(), Resource: e.fhir(),
			Request: fhirRequest{"POST", "AuditEvent"}})
	}
	b, err := json.Marshal(bundle)
	if err != nil {
		return nil, fmt.Errorf("encode %d events as FHIR: %w", len(es), err)
	}
	return b, nil
}

func (c Code) fhir(system string) fhirCoding { return fhirCoding{system, c.Value, c.Meaning} }

func (e Entry) fhir() fhirEvent {
	r := RowOf(e.Type)
	f := fhirEvent{ResourceType: "AuditEvent", Type: r.Event.fhir(dcmSystem), Action: Action,
		Recorded: e.Wall.UTC().Format("2006-01-02T15:04:05.000Z"), Outcome: strconv.Itoa(e.outcome()), Agent: e.fhirAgents(),
		Source: fhirSource{Site: clean(string(e.Site)), Observer: reference(e.node()),
			Type: []fhirCoding{{sourceSystem, userDevice, "User Device"}}},
		Entity: []fhirEntity{e.fhirEntity()}}
	if r.Type != noOwn {
		f.Subtype = append(f.Subtype, r.Type.fhir(dcmSystem))
	}
	f.Subtype = append(f.Subtype, fhirCoding{System, clean(string(e.Type)), r.Title})
	if e.outcome() > 0 {
		f.OutcomeDesc = e.sentence()
	}
	return f
}

func reference(name string) fhirReference {
	return fhirReference{Identifier: fhirIdentifier{Value: name}, Display: name}
}

// fhirAgents are those of dicomParticipants.
func (e Entry) fhirAgents() (as []fhirAgent) {
	for _, p := range e.dicomParticipants() {
		a := fhirAgent{Who: reference(p.User), AltID: p.Other, Name: p.User, Requestor: p.Requestor,
			Network: fhirNetwork{p.Node, p.NodeKind}}
		for _, r := range p.Roles {
			a.Role = append(a.Role, fhirConcept{[]fhirCoding{{dcmSystem, r.Code, r.Text}}})
		}
		as = append(as, a)
	}
	return as
}

func (e Entry) fhirEntity() fhirEntity {
	n := fhirEntity{What: fhirReference{Identifier: fhirIdentifier{uriSystem, "urn:uuid:" + e.ID()}},
		Type: fhirCoding{entitySystem, systemObject, "System Object"},
		Role: fhirCoding{roleSystem, securityObject, "Security Resource"}, Name: "audit event"}
	for _, f := range e.fields() {
		n.Detail = append(n.Detail, fhirDetail{f.name, f.text})
	}
	return n
}
