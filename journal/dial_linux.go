package journal

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const socket = "/run/systemd/journal/socket"

// Dial connects to the journal if standard error leads there; nil if it does not. What the journal does not take goes to
// the writer.
func Dial(otherwise io.Writer) Sink {
	var st unix.Stat_t
	if err := unix.Fstat(2, &st); err != nil || os.Getenv("JOURNAL_STREAM") != fmt.Sprintf("%d:%d", st.Dev, st.Ino) {
		return nil
	}
	return dial(socket, otherwise)
}

func dial(path string, otherwise io.Writer) Sink {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "journal")
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil
	}
	return sender{c, &net.UnixAddr{Name: path, Net: "unixgram"}, otherwise}
}

// sender names the journal's socket anew for each entry, so that a journal that was started again gets them.
type sender struct {
	net.PacketConn
	to        net.Addr
	otherwise io.Writer
}

func (s sender) Write(entry []byte) (int, error) {
	if _, err := s.WriteTo(entry, s.to); err == nil {
		return len(entry), nil
	}
	_, err := s.otherwise.Write(plain(entry))
	return len(entry), err
}

// plain is the line of an entry, which is its last field.
func plain(entry []byte) []byte {
	const label = "MESSAGE\n"
	at := bytes.LastIndex(entry, []byte("\n"+label))
	if at < 0 {
		return entry
	}
	return entry[min(at+1+len(label)+8, len(entry)):]
}
