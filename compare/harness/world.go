package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
)

const (
	startTimeout = time.Minute
	// patience with what must happen, and is a failure if it does not.
	patience = 2 * time.Minute
)

// world is everything that runs.
type world struct {
	Options
	dir        string
	running    *devstack.Running
	stack      *measure.Process
	brokers    map[string]*measure.Process
	brokerURLs map[string]string
	services   map[string]*measure.Process
	urls       map[string]string
	pools      map[string]*pgxpool.Pool
	admin      *pgxpool.Pool
	conn       *nats.Conn // the federated archetype's broker
	js         jetstream.JetStream
	signer     *signer
	webhooks   *webhooks
	slow       *delay
	shop       *population
	client     *http.Client
	steps      int
	step       int
	release    func()
	taken      int              // users that a measurement used up
	atStart    map[string]int64 // bytes about identities, by the contender's orders
	ofNodes    map[string]int64 // the same, of the services that growth added
	made       int              // users that it made
}

// openWorld starts everything and fills it; steps is how many the progress has.
func openWorld(ctx context.Context, o Options, steps int) (_ *world, err error) {
	w := &world{
		Options: o, services: map[string]*measure.Process{}, urls: map[string]string{}, pools: map[string]*pgxpool.Pool{}, steps: steps,
		brokers: map[string]*measure.Process{}, brokerURLs: map[string]string{}, atStart: map[string]int64{}, ofNodes: map[string]int64{},
		client: &http.Client{Timeout: startTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.next("start")
	if w.dir, err = os.MkdirTemp("", "compare-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(w.dir, 0o711); err != nil { //nolint:gosec // Postgres runs as another user
		return nil, err
	}
	for _, begin := range []func(context.Context) error{
		w.startStack, w.startProvider, w.startFederated, w.startBroker, w.startShadow, w.connect, w.fill,
	} {
		if err := begin(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// next tells what is done next.
func (w *world) next(what string) {
	w.Progress(float64(w.step)/float64(w.steps), what)
	w.step++
}

func (w *world) start(part Part, name, argument string, environ []string) (*measure.Process, error) {
	return measure.Start(filepath.Join(w.dir, name+".log"), w.Start(part, argument), environ)
}

func (w *world) startStack(ctx context.Context) (err error) {
	state := filepath.Join(w.dir, "state")
	argument := state
	if w.SkipFsync {
		argument = skipFsync + state
	}
	if w.stack, err = w.start(stackPart, "stack", argument, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if w.running, err = devstack.FindRunning(ctx, state); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(w.dir, "stack.log"))
			return fmt.Errorf("the stack does not come up: %w\n%s", err, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// environ of a service, as `shadowless up` gives it, with changes.
func (w *world) environ(service string, changes ...string) ([]string, error) {
	raw, err := os.ReadFile(w.running.EnvironFile(service))
	if err != nil {
		return nil, err
	}
	return append(strings.Split(strings.TrimSpace(string(raw)), "\n"), append(changes, "LOG_LEVEL=ERROR")...), nil
}

func (w *world) serve(name, url string, environ []string) (err error) {
	w.urls[name] = url
	w.services[name], err = w.start(servePart, name, name, environ)
	return err
}

func (w *world) ready(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := w.services[name].Ready(ctx, w.urls[name]+"/readyz"); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// startProvider runs the development IdP and token-exchange, which both
// archetypes use.
func (w *world) startProvider(ctx context.Context) error {
	for _, name := range []string{devstack.DevIDP, devstack.TokenExchange} {
		environ, err := w.environ(name)
		if err != nil {
			return err
		}
		if err := w.serve(name, w.running.Ports.URL(name), environ); err != nil {
			return err
		}
	}
	if err := w.ready(ctx, devstack.DevIDP, devstack.TokenExchange); err != nil {
		return err
	}
	var err error
	w.slow, err = newDelay(w.running.Ports.Address(devstack.DevIDP))
	return err
}

// Turned up for a comparison, because it would measure the limit and not the work.
const unlimited = "1000000"

func (w *world) startFederated(ctx context.Context) error {
	for _, name := range []string{devstack.IdentityRelay, devstack.Billing, devstack.Orders} {
		environ, err := w.federatedEnviron(name)
		if err != nil {
			return err
		}
		if err := w.serve(name, w.running.Ports.URL(name), environ); err != nil {
			return err
		}
	}
	return w.ready(ctx, devstack.IdentityRelay, devstack.Billing, devstack.Orders)
}

func (w *world) federatedEnviron(name string) ([]string, error) {
	switch name {
	case devstack.IdentityRelay:
		return w.relayEnviron()
	case devstack.Orders:
		return w.environ(name, "ORDERS_DIRECTORY_URL="+w.slow.url+"/api/auth/directory/lookup")
	default:
		return w.environ(name)
	}
}

// relayEnviron has the two services answer erasures, unless changes name others.
func (w *world) relayEnviron(changes ...string) ([]string, error) {
	ports := w.running.Ports
	return w.environ(devstack.IdentityRelay, append([]string{
		"IDENTITY_RELAY_PARTICIPANTS=" + devstack.Orders + "=" + ports.URL(devstack.Orders) + "," + devstack.Billing + "=" + ports.URL(devstack.Billing),
		"IDENTITY_RELAY_IDP_REQUESTS_PER_SECOND=" + unlimited, "IDENTITY_RELAY_ERASURES_PER_HOUR=" + unlimited,
		"IDENTITY_RELAY_RECONCILE_INTERVAL=0s", "IDENTITY_RELAY_RECONCILE_GRACE=1s",
	}, changes...)...)
}

// connect opens what the harness itself looks through.
func (w *world) connect(ctx context.Context) error {
	admin, err := config.ReadSecretFile(w.running.SecretFile("postgres-admin.url"))
	if err != nil {
		return err
	}
	if w.admin, err = pgxpool.New(ctx, admin); err != nil {
		return err
	}
	for name, database := range w.databases() {
		address, err := url.Parse(admin)
		if err != nil {
			return errors.New("the administrator has no URL") // the cause would quote the password
		}
		address.Path = "/" + database
		if w.pools[name], err = pgxpool.New(ctx, address.String()); err != nil {
			return err
		}
	}
	if w.conn, w.js, err = w.dial(w.running.Ports.Address(devstack.NATS)); err != nil {
		return err
	}
	if w.signer, err = loadSigner(ctx, w.pools[devstack.DevIDP], w.urls[devstack.DevIDP]); err != nil {
		return err
	}
	secret, err := config.ReadSecretFile(w.running.SecretFile("idp-webhook"))
	w.webhooks = &webhooks{secret: secret, client: w.client}
	return err
}

// dial is to a broker, as the operator, who may do everything.
func (w *world) dial(address string) (*nats.Conn, jetstream.JetStream, error) {
	return natsconn.Connect(natsconn.Config{
		URL: "nats://" + address, NKeySeedFile: w.running.SecretFile(devstack.Operator + ".nkey"), Name: streams.Operator, Logger: w.Log,
	})
}

// databases by the service that has each.
func (w *world) databases() map[string]string {
	all := map[string]string{shadowOrders: databaseOf(shadowOrders), shadowBilling: databaseOf(shadowBilling), oneOrders: databaseOf(oneOrders)}
	for _, name := range []string{devstack.DevIDP, devstack.Orders, devstack.Billing, devstack.IdentityRelay, devstack.TokenExchange} {
		all[name] = devstack.DatabaseName(name)
	}
	return all
}

func (w *world) describe(ctx context.Context, m *report.Machine) error {
	m.NATS = w.conn.ConnectedServerVersion()
	err := w.admin.QueryRow(ctx, `SELECT split_part(version(), ' ', 2), current_setting('fsync')`).Scan(&m.Postgres, &m.Fsync)
	if err != nil {
		return fmt.Errorf("ask Postgres: %w", err)
	}
	return nil
}

func (w *world) close() {
	if w.conn != nil {
		w.conn.Close()
	}
	for _, p := range w.pools {
		p.Close()
	}
	if w.admin != nil {
		w.admin.Close()
	}
	for _, p := range w.services {
		p.Stop()
	}
	for _, p := range w.brokers {
		p.Stop()
	}
	if w.stack != nil {
		w.stack.Stop()
	}
	if w.slow != nil {
		w.slow.close()
	}
	if w.release != nil {
		w.release()
	}
	w.client.CloseIdleConnections()
	if w.dir != "" {
		_ = os.RemoveAll(w.dir) // it is temporary
	}
}
