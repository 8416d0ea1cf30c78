package mailbox

import "errors"

// ErrPoison matches, by errors.Is, every error made by [Poison].
var ErrPoison = errors.New("poison message")

type poisonError struct{ cause error }

// Poison marks err as one that no redelivery can cure. The message is
// terminated with the error's text as the reason, which operators read in the
// dead letters: the text must not hold personal data. Poison(nil) is nil.
func Poison(err error) error {
	if err == nil {
		return nil
	}
	return &poisonError{cause: err}
}

func (e *poisonError) Error() string        { return e.cause.Error() }
func (e *poisonError) Unwrap() error        { return e.cause }
func (e *poisonError) Is(target error) bool { return target == ErrPoison }
