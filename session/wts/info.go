package wts

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// errShort is the error of an answer that has not what it should.
var errShort = errors.New("an answer that is too short")

// Where WTSINFOW has its times, on every Windows: LARGE_INTEGER ConnectTime, DisconnectTime, LastInputTime, LogonTime, CurrentTime.
const (
	infoDisconnect = 184
	infoLogon      = 200
	infoNow        = 208
	infoSize       = 216
)

// parseTimes reads WTSINFOW.
func parseTimes(b []byte) (times, error) {
	if len(b) < infoSize {
		return times{}, errShort
	}
	at := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[i:])) }
	return times{logon: at(infoLogon), disconnect: at(infoDisconnect), now: at(infoNow)}, nil
}

// parseText reads a text that ends with a zero.
func parseText(b []byte) (string, error) {
	if len(b) < 2 {
		return "", errShort
	}
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return plain(string(utf16.Decode(units))), nil
}

// parseProtocol reads WTSClientProtocolType.
func parseProtocol(b []byte) (protocol, error) {
	if len(b) < 2 {
		return unknownProtocol, errShort
	}
	switch p := binary.LittleEndian.Uint16(b); p {
	case 0, 1, 2:
		return protocol(p + 1), nil
	}
	return unknownProtocol, nil
}
