package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// What a summary is found by: the identifier of its only section, FMTID_SummaryInformation of [MS-OLEPS].
var summaryID = []byte{0xe0, 0x85, 0x9f, 0xf2, 0xf9, 0x4f, 0x68, 0x10, 0xab, 0x91, 0x08, 0x00, 0x2b, 0x27, 0xb3, 0xd9}

// Properties of a summary that hold when it was made, and their type.
const (
	created  = 12
	saved    = 13
	fileTime = 0x40
)

// stamp sets both times that a package's summary holds, so that they tell of its sources and not of its making.
func stamp(path string, at time.Time) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := stampSummary(body, at); err != nil {
		return fmt.Errorf("set the times of %s: %w", path, err)
	}
	return os.WriteFile(path, body, 0o644)
}

func stampSummary(body []byte, at time.Time) error {
	const fromHeader = 28 // the identifier is this far from the beginning of the stream, and the section's place follows it
	i := bytes.Index(body, summaryID)
	if i < fromHeader || len(body) < i+20 {
		return fmt.Errorf("there is no summary")
	}
	set := body[i-fromHeader:]
	at32 := func(b []byte, i uint32) uint32 {
		if int64(i)+4 > int64(len(b)) {
			return 0
		}
		return binary.LittleEndian.Uint32(b[i:])
	}
	section := set[min(at32(set, fromHeader+16), uint32(len(set))):]
	done := 0
	for n := range min(at32(section, 4), 64) {
		id, place := at32(section, 8+8*n), at32(section, 12+8*n)
		if (id == created || id == saved) && at32(section, place) == fileTime && int64(place)+12 <= int64(len(section)) {
			binary.LittleEndian.PutUint64(section[place+4:], ticks(at))
			done++
		}
	}
	if done != 2 {
		return fmt.Errorf("%d times in the summary, want 2", done)
	}
	return nil
}

// ticks are the tenths of microseconds since 1601 in Greenwich.
func ticks(at time.Time) uint64 {
	const from1601 = 11644473600
	return uint64(at.Unix()+from1601) * 10_000_000
}
