package harness

import (
	"fmt"
	"reflect"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/compare/users"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
)

// directoryTTL is the default of directory.ClientConfig.TTL, which orders leaves
// as it is.
const directoryTTL = time.Minute

// preset is the default of a duration that a service reads from its environment.
func preset(config any, field string) (time.Duration, error) {
	f, ok := reflect.TypeOf(config).FieldByName(field)
	if !ok {
		return 0, fmt.Errorf("there is no setting %s", field)
	}
	d, err := time.ParseDuration(f.Tag.Get("envDefault"))
	if err != nil {
		return 0, fmt.Errorf("read the default of %s: %w", field, err)
	}
	return d, nil
}

// lostWebhooks is for how long at most a webhook that is lost is missed.
func lostWebhooks() (report.Table, error) {
	t := report.Table{Title: "When a webhook is lost, at most"}
	hourly, err := preset(identityrelay.Config{}, "ReconcileInterval")
	if err != nil {
		return t, err
	}
	nightly, err := preset(users.Config{}, "ReconcileInterval")
	if err != nil {
		return t, err
	}
	between, err := preset(identityrelay.Config{}, "ReconcileGrace")
	if err != nil {
		return t, err
	}
	grace, err := preset(identityrelay.Config{}, "ErasureGrace")
	if err != nil {
		return t, err
	}
	t.Head = []string{"what goes on", "who", "reconciled every " + spoken(hourly), "reconciled every " + spoken(nightly), "because"}
	add := func(what, who, because string, lasting func(interval time.Duration) time.Duration) {
		t.Rows = append(t.Rows, []string{what, who, spoken(lasting(hourly)), spoken(lasting(nightly)), because})
	}
	next := func(interval time.Duration) time.Duration { return interval }
	twice := func(interval time.Duration) time.Duration { return interval + between + interval }
	const shadow, federated = "shadow table, each service apart", "federated IDs"
	add("a rename: the old name is shown", shadow, "until the next reconciliation", next)
	add("a rename: the old name is shown", federated+", each replica", "a name is used without asking for that long",
		func(time.Duration) time.Duration { return directoryTTL })
	add("a deletion: the user gets in", shadow, "until the next reconciliation; one look-up decides", next)
	add("a deletion: the user gets in", federated, "two reconciliations must miss the user, "+spoken(between)+" apart (IDENTITY_RELAY_RECONCILE_GRACE)", twice)
	add("a deletion: the data stay", shadow, "they go with the row", next)
	add("a deletion: the data stay", federated, "after that the erasure waits "+spoken(grace)+", in which it can be undone (IDENTITY_RELAY_ERASURE_GRACE)",
		func(interval time.Duration) time.Duration { return twice(interval) + grace })
	return t, nil
}

// spoken is a duration in whole hours or minutes, where it is.
func spoken(d time.Duration) string {
	switch {
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d > 0 && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return d.String()
	}
}
