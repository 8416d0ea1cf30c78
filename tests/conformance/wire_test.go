package conformance_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire stands between a replica and Postgres. It reads along which statements
// are executed, and can be cut.
type wire struct {
	url string

	listener net.Listener
	target   string
	done     sync.WaitGroup

	mu       sync.Mutex
	executed []string
	broken   bool
	open     map[net.Conn]bool
}

func newWire(t *testing.T, database string) *wire {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	w := &wire{target: u.Host, open: map[net.Conn]bool{}}
	w.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = w.listener.Addr().String()
	query := u.Query()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	w.url = u.String()
	w.done.Go(w.accept)
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.cut()
		w.done.Wait()
	})
	return w
}

func (w *wire) accept() {
	for {
		in, err := w.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.target)
		if err != nil || !w.keep(in, out) {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			continue
		}
		w.done.Go(func() { w.forward(in, out) })
		w.done.Go(func() {
			_, _ = io.Copy(in, out)
			w.drop(in, out)
		})
	}
}

// forward reads the frontend's messages: a statement is parsed under a name and
// executed by binding it.
func (w *wire) forward(in, out net.Conn) {
	defer w.drop(in, out)
	statements := map[string]string{}
	if _, err := message(in, out, false); err != nil { // the start-up has no type
		return
	}
	for {
		raw, err := message(in, out, true)
		if err != nil {
			return
		}
		body := raw[5:]
		switch raw[0] {
		case 'P':
			name, rest, _ := bytes.Cut(body, []byte{0})
			statement, _, _ := bytes.Cut(rest, []byte{0})
			statements[string(name)] = string(statement)
		case 'B':
			_, rest, _ := bytes.Cut(body, []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			w.note(statements[string(name)])
		case 'Q':
			w.note(string(bytes.TrimRight(body, "\x00")))
		}
	}
}

// message copies one message and returns it.
func message(in io.Reader, out io.Writer, typed bool) ([]byte, error) {
	head := make([]byte, 4)
	if typed {
		head = make([]byte, 5)
	}
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	raw := slices.Concat(head, make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4))
	if _, err := io.ReadFull(in, raw[len(head):]); err != nil {
		return nil, err
	}
	_, err := out.Write(raw)
	return raw, err
}

func (w *wire) note(statement string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.executed = append(w.executed, statement)
}

// since returns what was executed after the first n statements.
func (w *wire) since(n int, about string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, statement := range w.executed[n:] {
		if strings.Contains(statement, about) {
			out = append(out, statement)
		}
	}
	return out
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.executed)
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return false
	}
	for _, c := range conns {
		w.open[c] = true
	}
	return true
}

func (w *wire) drop(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		delete(w.open, c)
		_ = c.Close()
	}
}

// cut ends every connection and lets no new one through.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	for c := range w.open {
		_ = c.Close()
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}
