package adopt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/adopt"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const root = "../.."

// service is one help desk with a database of its own, and the how-to beside it.
type service struct {
	t        *testing.T
	db       *pgxpool.Pool
	url      string
	backup   string
	document string
}

// start is a help desk with a users table, people in it, and what they wrote.
func start(t *testing.T) *service {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "docs", "adoption.md"))
	require.NoError(t, err)
	database := identitytest.Postgres(t)
	s := &service{t: t, db: database.Owner, url: database.OwnerURL, backup: filepath.Join(t.TempDir(), "users.dump"), document: string(raw)}
	s.must(`psql -qX -f examples/adopt/0_legacy.sql "$DATABASE_URL"`)
	s.exec(`INSERT INTO users (idp_id, email, name, weekly_digest) VALUES
		('auth0|alice', 'alice@example.com', 'Alice', false), ('bob', 'bob@example.com', 'Bob', true), (NULL, 'carol@example.com', 'Carol', false)`)
	s.exec(`INSERT INTO tickets (author_id, assignee_id, title) VALUES (1, 2, 'printer'), (1, NULL, 'scanner'), (2, 3, 'keyboard'), (3, 1, 'mouse')`)
	s.exec(`INSERT INTO comments (ticket_id, author_id, body) VALUES (1, 2, 'on fire?'), (1, 1, 'yes'), (3, 3, 'which?')`)
	return s
}

func (s *service) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.db.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err)
}

func (s *service) count(sql string, args ...any) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.db.QueryRow(s.t.Context(), sql, args...).Scan(&n))
	return n
}

func (s *service) run(script string) (string, error) {
	s.t.Helper()
	sh := exec.CommandContext(s.t.Context(), "sh", "-eu", "-c", script)
	sh.Dir = root
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin") // where Debian puts psql and pg_dump
	require.NoError(s.t, err)
	sh.Env = append(os.Environ(), "PATH="+strings.Join(append(found, os.Getenv("PATH")), string(os.PathListSeparator)),
		"DATABASE_URL="+s.url, "BACKUP="+s.backup)
	out, err := sh.CombinedOutput()
	return string(out), err
}

func (s *service) must(script string) string {
	s.t.Helper()
	out, err := s.run(script)
	require.NoError(s.t, err, out)
	return out
}

// block is the sh block under a heading of the how-to, as it stands there.
func (s *service) block(heading string) string {
	s.t.Helper()
	_, text, found := strings.Cut(s.document, "\n"+heading+"\n")
	require.True(s.t, found, heading)
	text, _, _ = strings.Cut(text, "\n#")
	_, text, found = strings.Cut(text, "```sh\n")
	require.True(s.t, found, "%s has no commands", heading)
	text, _, found = strings.Cut(text, "```")
	require.True(s.t, found, heading)
	return text
}

// The headings of the how-to, forward and back.
var forward = []string{
	"## Step 1: user IDs beside the foreign keys", "## Step 2: fill in the old rows", "## Step 3: verify",
	"## Step 4: drop the foreign keys", "## Step 5: drop the table",
}

func back(step int) string { return "### Fall back from step " + string(rune('0'+step)) }

// upTo walks the steps, retiring whoever has no user ID before step 4.
func (s *service) upTo(step int) {
	s.t.Helper()
	for n := 1; n <= step; n++ {
		if n == 4 {
			s.must(s.block("### Users without a user ID"))
		}
		s.must(s.block(forward[n-1]))
	}
}

// downFrom walks back to the users table alone.
func (s *service) downFrom(step int) {
	s.t.Helper()
	for _, n := range []int{5, 4, 1} {
		if n <= step {
			s.must(s.block(back(n)))
		}
	}
}

func (s *service) titles(desk adopt.HelpDesk, userID string) []string {
	s.t.Helper()
	list, err := desk.Titles(s.t.Context(), userID)
	require.NoError(s.t, err)
	return list
}
