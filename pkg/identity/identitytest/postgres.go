package identitytest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// Database is one test's own. Pool is the runtime role, which can neither
// change tables nor bypass row-level security; Owner is the migrator.
type Database struct {
	Pool     *pgxpool.Pool
	Owner    *pgxpool.Pool
	URL      string
	OwnerURL string
	AdminURL string // the superuser, inside this database
}

var (
	migrator = localpostgres.Role{Name: "test_migrator", Password: "test-migrator"}
	runtime  = localpostgres.Role{Name: "test_runtime", Password: "test-runtime"}
)

// shared is the server of this test binary.
var shared struct {
	sync.Mutex
	server    *localpostgres.Server
	dir       string
	templates map[string]string
	databases atomic.Int64
}

const parallel = "test.parallel"

// Main runs the tests and stops what they shared. Call it from TestMain.
//
// Unless -parallel says otherwise, four times as many tests run at once as there
// are processors: tests with a database and NATS mostly wait for them.
func Main(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == parallel })
	if !asked {
		if err := flag.Set(parallel, strconv.Itoa(4*goruntime.GOMAXPROCS(0))); err != nil {
			panic(err) // the flag is testing's own
		}
	}
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Stop ends the shared PostgreSQL server and removes its data.
func Stop() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return nil
	}
	err := errors.Join(shared.server.Stop(), os.RemoveAll(shared.dir))
	shared.server, shared.templates = nil, nil
	return err
}

// AdminURL is the shared server's superuser.
func AdminURL(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	return start(t).AdminURL()
}

// start must be called with the lock held.
func start(t testing.TB) *localpostgres.Server {
	t.Helper()
	if shared.server != nil {
		return shared.server
	}
	// Not t.TempDir: the server outlives the test and its user must get in.
	dir, err := os.MkdirTemp("", "shadowless-postgres-")
	if err != nil {
		t.Fatalf("make a folder for postgres: %v", err)
	}
	server, err := localpostgres.Start(context.Background(), localpostgres.Config{Dir: filepath.Clean(dir), SkipFsync: true, MaxConnections: 500})
	if err != nil {
		t.Fatalf("start postgres: %v", err)
	}
	shared.server, shared.dir, shared.templates = server, dir, map[string]string{}
	return server
}

// Postgres makes a database with the migrations applied and drops it after the
// test. The first test with a given list of sets pays for the migrations, the
// others copy its template.
func Postgres(t testing.TB, sets ...migrate.Set) *Database {
	t.Helper()
	ctx := context.Background()
	name := fmt.Sprintf("test_%d", shared.databases.Add(1))
	server := clone(t, name, sets)
	db := &Database{
		URL:      server.URL(name, runtime.Name, runtime.Password),
		OwnerURL: server.URL(name, migrator.Name, migrator.Password),
	}
	db.AdminURL = server.URL(name, server.Admin().Name, server.Admin().Password)
	var err error
	if db.Pool, err = pgxpool.New(ctx, db.URL); err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	if db.Owner, err = pgxpool.New(ctx, db.OwnerURL); err != nil {
		t.Fatalf("open %s as owner: %v", name, err)
	}
	t.Cleanup(func() {
		db.Pool.Close()
		db.Owner.Close()
		if err := localpostgres.Drop(ctx, server.AdminURL(), name); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return db
}

// clone copies the template of these sets. CREATE DATABASE needs a template
// without connections, so it is serialised.
func clone(t testing.TB, name string, sets []migrate.Set) *localpostgres.Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	ctx := context.Background()
	server := start(t)
	key := sha256.New()
	for _, set := range sets {
		fmt.Fprintf(key, "%q", set.Name)
	}
	id := hex.EncodeToString(key.Sum(nil))
	template, ok := shared.templates[id]
	if !ok {
		template = fmt.Sprintf("template_%d", len(shared.templates)+1)
		if err := localpostgres.Provision(ctx, server.AdminURL(), localpostgres.Database{Name: template, Migrator: migrator, Runtime: runtime}); err != nil {
			t.Fatalf("provision: %v", err)
		}
		if err := migrate.Up(ctx, server.URL(template, migrator.Name, migrator.Password), sets...); err != nil {
			t.Fatalf("migrate: %v", err)
		}
		shared.templates[id] = template
	}
	conn, err := pgx.Connect(ctx, server.AdminURL())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	for _, statement := range []string{
		"CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE " + pgx.Identifier{template}.Sanitize(),
		"GRANT CONNECT ON DATABASE " + pgx.Identifier{name}.Sanitize() + " TO " + migrator.Name + ", " + runtime.Name,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("copy the template: %v", err)
		}
	}
	return server
}
