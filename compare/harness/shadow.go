package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

// databaseOf the shadow archetype's services. one-orders and one-billing share one.
func databaseOf(name string) string {
	if name == oneBilling {
		name = oneOrders
	}
	return "compare_" + strings.ReplaceAll(name, "-", "_")
}

// shadowServices and the real service that each stands for.
var shadowServices = map[string]string{
	shadowOrders: devstack.Orders, shadowBilling: devstack.Billing, oneOrders: devstack.Orders, oneBilling: devstack.Billing,
}

// startBroker runs the shadow archetype's NATS: its services have the names of
// the real ones, durables too.
func (w *world) startBroker(ctx context.Context) error {
	ports, release, err := devstack.FreePorts()
	if err != nil {
		return err
	}
	w.release = release
	// The block's own names are free for services that are not run here.
	for name, port := range map[string]string{
		shadowOrders: devstack.Orders, shadowBilling: devstack.Billing, oneOrders: devstack.Console, oneBilling: devstack.TokenExchange,
	} {
		w.urls[name] = ports.URL(port)
	}
	for name, port := range map[string]int{shadowOrders: ports[devstack.NATS], oneOrders: ports[devstack.Postgres]} {
		if err := w.runBroker(ctx, name, port); err != nil {
			return err
		}
	}
	return nil
}

// runBroker starts a NATS server and declares its streams.
func (w *world) runBroker(ctx context.Context, name string, port int) (err error) {
	argument := w.running.StateDir + "|" + strconv.Itoa(port) + "|" + filepath.Join(w.dir, "nats-"+name)
	if w.brokers[name], err = w.start(brokerPart, "nats-"+name, argument, nil); err != nil {
		return err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	w.brokerURLs[name] = "nats://" + address
	conn, js, err := w.dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if err = streams.Apply(ctx, js, 1); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("declare the streams of %s: %w", name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// startShadow runs the shadow archetype twice: with a database for each service,
// and with one for both.
func (w *world) startShadow(ctx context.Context) error {
	for _, name := range []string{shadowOrders, shadowBilling, oneOrders, oneBilling} {
		if err := w.provision(ctx, databaseOf(name)); err != nil {
			return err
		}
	}
	for _, pair := range [][2]string{{shadowBilling, shadowOrders}, {oneBilling, oneOrders}} {
		for _, name := range []string{pair[1], pair[0]} {
			environ, err := w.shadowEnviron(name, pair)
			if err != nil {
				return err
			}
			if err := w.serve(name, w.urls[name], environ); err != nil {
				return err
			}
			// One after the other: in one database, invoices refer to orders.
			if err := w.ready(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) shadowEnviron(name string, pair [2]string) ([]string, error) {
	database := databaseOf(name)
	changes := []string{
		"LISTEN_ADDRESS=" + strings.TrimPrefix(w.urls[name], "http://"), "NATS_URL=" + w.brokerURLs[pair[1]],
		"DATABASE_URL_FILE=" + w.file(database+"_runtime.url"), "MIGRATION_DATABASE_URL_FILE=" + w.file(database+"_migrator.url"),
		"SHADOW_WEBHOOK_SECRETS_FILE=" + w.running.SecretFile("idp-webhook"), "SHADOW_WEBHOOK_MAX_AGE=72h",
		"SHADOW_IDP_URL=" + w.urls[devstack.DevIDP], "SHADOW_IDP_CREDENTIAL_FILE=" + w.running.SecretFile("idp-administrator"),
		"SHADOW_RECONCILE_INTERVAL=24h", "ORDERS_BILLING_URL=" + w.urls[pair[0]],
	}
	if name == oneBilling {
		// A user who is deleted has one tombstone, which both must know again.
		changes = append(changes, "SHADOW_ONE_DATABASE=true", "TOMBSTONE_KEY_FILE="+w.running.SecretFile("tombstone-"+devstack.Orders))
	}
	return w.environ(shadowServices[name], changes...)
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// provision makes a database on the one server, with roles like a service's.
func (w *world) provision(ctx context.Context, name string) error {
	admin, err := config.ReadSecretFile(w.running.SecretFile("postgres-admin.url"))
	if err != nil {
		return err
	}
	db := localpostgres.Database{
		Name:     name,
		Migrator: localpostgres.Role{Name: name + "_migrator", Password: "compare"},
		Runtime:  localpostgres.Role{Name: name + "_runtime", Password: "compare"},
	}
	if err := localpostgres.Provision(ctx, admin, db); err != nil {
		return err
	}
	for _, role := range []localpostgres.Role{db.Migrator, db.Runtime} {
		url, err := localpostgres.RoleURL(admin, name, role)
		if err != nil {
			return err
		}
		if err := os.WriteFile(w.file(role.Name+".url"), []byte(url), 0o600); err != nil {
			return err
		}
	}
	return nil
}
