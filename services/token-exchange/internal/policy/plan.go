package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/throttle"
)

// Limits are for everybody whose plan says nothing else. They hold for one
// replica: what a key can do in all is as many times more as there are replicas.
type Limits struct {
	// Key bounds the requests under one key ID, known or not.
	Key throttle.Quota `yaml:"key"`
	// Refused bounds the failed authentications from one address.
	Refused throttle.Quota `yaml:"refused"`
}

// KeyRules are for everybody whose plan says nothing else.
type KeyRules struct {
	// MaxAge is how old a key may become before it is reported; zero: never.
	// It is still accepted.
	MaxAge time.Duration `yaml:"max_age"`
	// MaxOverlap bounds how long a rotated key goes on.
	MaxOverlap time.Duration `yaml:"max_overlap"`
}

// Plan is what clients of one kind may do. The zero value adds nothing.
type Plan struct {
	// Limit bounds the requests of each key; the zero value means Limits.Key.
	Limit throttle.Quota `yaml:"limit"`
	// Audiences that its clients may call; nil: any.
	Audiences []string `yaml:"audiences"`
	// MaxKeyAge in place of KeyRules.MaxAge.
	MaxKeyAge time.Duration `yaml:"max_key_age"`
}

// Allows reports whether the plan's clients may call the audience.
func (p Plan) Allows(audience string) bool {
	return p.Audiences == nil || slices.Contains(p.Audiences, audience)
}

// Defaults of what the file does not say.
var (
	defaultLimits = Limits{
		Key:     throttle.Quota{Requests: 6000, Per: time.Minute},
		Refused: throttle.Quota{Requests: 120, Per: time.Minute},
	}
	defaultKeyRules = KeyRules{MaxAge: 90 * 24 * time.Hour, MaxOverlap: 7 * 24 * time.Hour}
)

// ErrUnknownPlan: the client's plan is not in the policy.
var ErrUnknownPlan = errors.New("plan is not in the policy")

// PlanOf returns a client's plan with every default filled in.
func (p Policy) PlanOf(name string) (Plan, error) {
	plan, known := p.Plans[name]
	if name != "" && !known {
		return Plan{}, fmt.Errorf("%w: %q", ErrUnknownPlan, name)
	}
	if plan.Limit == (throttle.Quota{}) {
		plan.Limit = p.Limits.Key
	}
	if plan.MaxKeyAge == 0 {
		plan.MaxKeyAge = p.Keys.MaxAge
	}
	return plan, nil
}

// CheckClient says what of a registration its plan does not allow.
func (p Policy) CheckClient(spec api.ClientSpec) error {
	plan, err := p.PlanOf(spec.Plan)
	if err != nil {
		return err
	}
	var faults []error
	for name := range spec.Audiences {
		if !plan.Allows(name) {
			faults = append(faults, fmt.Errorf("audiences.%s is not in the plan %q", name, spec.Plan))
		}
	}
	return errors.Join(faults...)
}

func (p Policy) planFaults() []error {
	var faults []error
	quota := func(at string, q throttle.Quota) {
		if q != (throttle.Quota{}) && q.Unlimited() {
			faults = append(faults, fmt.Errorf("%s: requests and per must be positive, or both be left out", at))
		}
	}
	quota("limits.key", p.Limits.Key)
	quota("limits.refused", p.Limits.Refused)
	if p.Keys.MaxAge < 0 || p.Keys.MaxOverlap < 0 {
		faults = append(faults, errors.New("keys: max_age and max_overlap must not be negative"))
	}
	for name, plan := range p.Plans {
		if name == "" {
			faults = append(faults, errors.New("plans: a name is empty"))
		}
		quota("plans."+name+".limit", plan.Limit)
		if plan.MaxKeyAge < 0 {
			faults = append(faults, fmt.Errorf("plans.%s.max_key_age must not be negative", name))
		}
	}
	return faults
}
