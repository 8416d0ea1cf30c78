// Package auther takes Auther's webhooks. A delivery is judged in a fixed order:
// signature over the raw bytes, age, a bounded parse, and that the headers (which
// nobody signed) say what the body says.
package auther

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery bounds how often the file's time is read.
const lookEvery = 5 * time.Second

// Secrets are the signing secrets that are valid now, several while they are
// rotated or where more than one endpoint is registered. The file holds one a
// line and is read again when it changes.
type Secrets struct {
	path string

	mu      sync.Mutex
	keys    [][]byte
	changed time.Time
	looked  time.Time
}

// LoadSecrets reads the file; lines that are empty or start with "#" do not
// count. Without a path there is no secret, and no delivery is accepted.
func LoadSecrets(path string) (*Secrets, error) {
	s := &Secrets{path: path}
	if path == "" {
		return s, nil
	}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Secrets) reload() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("read webhook secrets: %w", err)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("read webhook secrets: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	var keys [][]byte
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, []byte(line))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read webhook secrets: %w", err)
	}
	if len(keys) == 0 {
		return errors.New("read webhook secrets: the file holds none")
	}
	s.keys, s.changed = keys, info.ModTime()
	return nil
}

func (s *Secrets) current() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.path != "" && now.Sub(s.looked) >= lookEvery {
		s.looked = now
		if info, err := os.Stat(s.path); err == nil && !info.ModTime().Equal(s.changed) {
			_ = s.reload() // a file that is being written leaves the old secrets
		}
	}
	return s.keys
}

// Verify reports whether signature is the lower-case hex HMAC-SHA256 of
// "<timestamp>.<body>" under any secret. It takes the same time whichever
// secret matches, if any.
func (s *Secrets) Verify(timestamp string, body []byte, signature string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil || len(given) != sha256.Size || strings.ToLower(signature) != signature {
		return false
	}
	valid := false
	for _, key := range s.current() {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(timestamp))
		mac.Write([]byte{'.'})
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), given) {
			valid = true
		}
	}
	return valid
}
