package mailbox

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxReasonBytes keeps a reason readable in a list of dead letters.
const maxReasonBytes = 300

// reason is err as it may be logged and shown to operators: one short line. Of
// a PostgreSQL error only the class is told, because its text quotes values.
func reason(err error) string {
	text := err.Error()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		text = "postgres: SQLSTATE " + pg.Code
		if pg.ConstraintName != "" {
			text += ", constraint " + pg.ConstraintName
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return ' '
		}
		return r
	}, text)
	return text[:min(len(text), maxReasonBytes)]
}
