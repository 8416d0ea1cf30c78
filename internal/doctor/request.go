package doctor

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// change adds a credential, or what else a probe needs, to a request.
type change func(*http.Request)

func basic(id, key string) change {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(key)) }
}

func bearer(token string) change {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func post(ctx context.Context, to string, form url.Values, changes ...change) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range changes {
		c(req)
	}
	return req, nil
}

// posting is a probe's form.
func posting(to string, form url.Values, changes ...change) func(context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) { return post(ctx, to, form, changes...) }
}

// getting is a probe's GET.
func getting(from string, changes ...change) func(context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			c(req)
		}
		return req, nil
	}
}

// form makes one of names and values.
func form(pairs ...string) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out.Add(pairs[i], pairs[i+1])
	}
	return out
}

func credentials(extra ...string) url.Values {
	return form(append([]string{"grant_type", "client_credentials"}, extra...)...)
}

func exchange(subject string, extra ...string) url.Values {
	out := form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", subject,
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
	maps.Copy(out, form(extra...))
	return out
}
