package zombies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

var basket = ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{{SKU: "lamp", Quantity: 1, UnitPriceMinor: 1200}}}

// person is one user of one schedule. The token stays valid whatever happens.
type person struct {
	id         string
	token      string
	key        string // of the last order
	placed     []uuid.UUID
	erasure    string // the last one that was requested
	readmitted bool   // after it
}

func (s *system) newPerson() *person {
	// The bar and the space are legal in an ID, and show if somebody parses one.
	id := "auth0|" + uuid.NewString() + " x"
	return &person{id: id, token: s.IdP.UserToken(id,
		authntest.Audience("orders", "billing", "console"), authntest.Tenant(tenant), authntest.Claim("kind", nil),
		authntest.Permissions(map[string][]string{
			"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"},
		}))}
}

// dead reports whether the participant has erased the person for good: it has
// committed its receipt, and nobody has readmitted them. retained is what the
// receipt says is kept, by table.
func (s *system) dead(at int, p *person) (dead bool, retained map[string]int64, err error) {
	if p.erasure == "" || p.readmitted {
		return false, nil, nil
	}
	var raw []byte
	err = s.dbs[at].Owner.QueryRow(context.Background(), `SELECT receipt FROM participant_receipts WHERE erasure_id = $1`, p.erasure).Scan(&raw)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	var r participant.Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return false, nil, err
	}
	retained = map[string]int64{}
	for _, c := range r.Columns {
		if c.Remaining > 0 {
			retained[c.Table] += c.Remaining
		}
	}
	return true, retained, nil
}

// zombies lists what a participant holds of a person whom it has erased, beyond
// what it retained then.
func (s *system) zombies(people ...*person) ([]string, error) {
	var found []string
	for at, scanner := range s.scanners {
		for _, p := range people {
			dead, retained, err := s.dead(at, p)
			if err != nil {
				return nil, err
			}
			if !dead {
				continue
			}
			rows, err := scanner.rowsOf(p.id)
			if err != nil {
				return nil, err
			}
			for table, n := range rows {
				if n != retained[table] {
					found = append(found, fmt.Sprintf("%s holds %d rows of an erased user in %s, of which %d were retained", names[at], n, table, retained[table]))
				}
			}
		}
	}
	return found, nil
}

// tell publishes an identity event, as the relay would. It stays away from both
// participants until release: their consumers wait for an inbox row that the
// test holds.
func (l *life) tell(eventType string, p *person) error {
	l.version++
	e := identity.Event{
		ID: uuid.NewString(), Source: "/identity-relay", Type: eventType, Version: l.version,
		Time: time.Now().UTC(), UserID: p.id, ErasureID: p.erasure,
	}
	raw, err := identity.Encode(e)
	if err != nil {
		return err
	}
	m := mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: raw}
	l.sent = append(l.sent, m)
	ctx := context.Background()
	for at := range names {
		tx, err := l.holders[at].Begin(ctx)
		if err != nil {
			return err
		}
		l.kept[at] = append(l.kept[at], tx)
		if _, err := tx.Exec(ctx, `INSERT INTO mailbox_inbox (consumer, message_id) VALUES ($1, $2)`, erasuresOf(at), e.ID); err != nil {
			return err
		}
	}
	return l.publish(m)
}

// release lets a participant have its messages.
func (l *life) release(at int) error {
	var err error
	for _, tx := range l.kept[at] {
		err = errors.Join(err, tx.Rollback(context.Background()))
	}
	l.kept[at] = nil
	return err
}

// publish waits until JetStream has stored the message, again if it was stored before.
func (s *system) publish(m mailbox.Message) error {
	var last error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		ack, err := s.Broker.JetStream.PublishMsg(context.Background(), &nats.Msg{
			Subject: m.Subject, Data: m.Payload, Header: nats.Header{jetstream.MsgIDHeader: {m.ID}},
		})
		if err == nil && !ack.Duplicate {
			return nil
		}
		last = err
	}
	return fmt.Errorf("publish %s: %w", m.Subject, last)
}

// request is a call under way.
type request struct {
	done chan struct{}
	id   uuid.UUID
	err  error
}

func (s *system) place(p *person, key string) *request {
	r := &request{done: make(chan struct{})}
	client := s.orders
	go func() {
		defer close(r.done)
		o, err := client.Place(context.Background(), p.token, key, basket)
		r.id, r.err = o.ID, err
	}()
	return r
}

// pay pays the first invoice that is open. A person who was erased sees those
// that are retained, as long as the token lives.
func (s *system) pay(p *person) {
	ctx := context.Background()
	page, err := s.billing.Invoices(ctx, p.token, 0, "")
	if err != nil {
		return
	}
	for _, inv := range page.Invoices {
		if inv.Status == billingapi.StatusOpen {
			_, _ = s.billing.Pay(ctx, p.token, uuid.NewString(), inv.ID, inv.AmountMinor, 0) // refused, in the end
			return
		}
	}
}

// race runs everything at once and returns when all of it has ended.
func race(all ...func()) {
	var group sync.WaitGroup
	for _, fn := range all {
		group.Go(fn)
	}
	group.Wait()
}
