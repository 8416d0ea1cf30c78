package console_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// chromium finds a real browser; CHROMIUM names another one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("this test needs a Chromium: install one, or name it in CHROMIUM")
	return ""
}

const browserWithin = time.Minute

// realBrowser is a Chromium with a profile of its own. What its console
// complains about (a policy that blocks something, a file that is missing) and
// every origin that it talks to is remembered.
type realBrowser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	origins    map[string]bool
}

func newRealBrowser(t *testing.T) *realBrowser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	ctx, cancel := context.WithTimeout(context.Background(), browserWithin)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	b := &realBrowser{t: t, ctx: ctx, origins: map[string]bool{}}
	require.NoError(t, chromedp.Listen(ctx, b.heard))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	return b
}

func (b *realBrowser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		scheme, rest, _ := strings.Cut(e.Request.URL, "://")
		host, _, _ := strings.Cut(rest, "/")
		b.origins[scheme+"://"+host] = true
	}
}

func (b *realBrowser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	err := chromedp.Do(b.ctx, steps...)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NoError(b.t, err, b.complaints)
}

func (b *realBrowser) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	require.NoError(b.t, err)
	return text
}

func TestBrowser_SignsInOrdersAndSignsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.change(func(i *testIDP) { i.prompts = true })
	b := newRealBrowser(t)
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(selector)) }
	shown := func(selector string) chromedp.Action[chromedp.Void] {
		return chromedp.WaitVisible(chromedp.CSS(selector))
	}
	// The page must not need any script.
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)

	b.do(chromedp.Navigate(w.url), click(`main a[href="/auth/login"]`), shown("#agree"), click("#agree"), shown("#who"))
	require.Contains(t, b.text("#who"), "auth0|alice & co")
	b.do(chromedp.SetValue(chromedp.CSS("#quantity"), "3"), click(".place button"), shown(".orders tbody tr"))
	require.Contains(t, b.text(".orders tbody tr"), "3 × Coffee beans")
	require.Contains(t, b.text(".orders .status"), "placed")
	b.do(click(`.orders form[action$="/pay"] button`), shown(".orders .status.paid"))
	require.Equal(t, []string{sessionCookie}, b.cookies())
	b.do(click(".bar nav button"), shown(".hero"))
	require.Contains(t, b.text(".notice"), "You are signed out.")
	require.Empty(t, b.cookies())

	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.complaints)
	require.Equal(t, map[string]bool{w.url: true, w.idp.URL: true}, b.origins, "no request goes anywhere else")
	require.Equal(t, 1, w.shop.count(w.idp.user))
}

// cookies are the names of the page's cookies, none of which a script may read.
func (b *realBrowser) cookies() []string {
	b.t.Helper()
	found, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	require.NoError(b.t, err)
	var names []string
	for _, c := range found.Cookies {
		require.True(b.t, c.HTTPOnly, c.Name)
		require.Equal(b.t, network.CookieSameSiteLax, c.SameSite, c.Name)
		names = append(names, c.Name)
	}
	return names
}
