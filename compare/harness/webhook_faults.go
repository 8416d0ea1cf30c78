package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
)

// webhookFaults measures what is wrong after webhooks went astray, and after the repair.
func webhookFaults(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "Webhooks that are lost, repeated and late", Question: "One webhook in a hundred is lost, one comes twice, one too late: what is wrong then, and what repairs it?",
		Method: []string{
			fmt.Sprintf("%d users sign up, order once, are renamed twice, and every fifth is deleted. Each round is done at the provider first; then its webhooks are delivered to each system, and staff read all pages. Which webhooks go astray is drawn with a fixed seed and is the same for every receiver; it is simulated by whoever delivers. The provider gives up a lost one; a late one comes after all others.", w.inUnrest()),
			"Wrong names are counted on the pages that staff see, right after the last delivery, in the federated archetype once its event is published. A name that was read before the rename whose webhook is lost is then still in the federated directory's memory, if its " + spoken(directoryTTL) + " has not passed.",
			"A zombie is a deleted user who is alive here: who has rows that stayed or came back, or whose token is still answered. An orphan is a row that refers to a user whom the provider does not know: rows that a manifest keeps by law are not counted, nor is the user's own row in a table of users.",
			"Before it starts, the tables of users are made what the provider's is: users of other measurements are not repaired here.",
			"The repair is each archetype's reconciliation with the provider's list of all users, run at once; the federated one looks a missing user up twice, a grace period apart (1 s here, a day by default). How often it runs is a setting of either. Tokens are tried again when no replica trusts a user's row any more that it read before (5 s, SHADOW_USER_CACHE).",
		},
	}
	u, err := w.unrest(ctx)
	if err != nil {
		return section, err
	}
	missing, err := u.signUps(ctx)
	if err != nil {
		return section, err
	}
	section.Measures = append(section.Measures, missing)
	for _, round := range []string{"First", "Second"} {
		if err := u.rename(ctx, round); err != nil {
			return section, err
		}
	}
	if err := u.farewells(ctx); err != nil {
		return section, err
	}
	first, err := u.stragglers(ctx)
	if err != nil {
		return section, err
	}
	section.Method = append(section.Method, fmt.Sprintf("Of the %d webhooks about renames and deletions %d were lost, %d came twice and %d late. The pages were counted between %.1f s and %.1f s after the second rename.",
		u.news, u.faults.lost, u.faults.repeated, len(u.faults.late), u.earliest.Seconds(), u.latest.Seconds()))
	section.Measures = append(section.Measures, counted("", first)...)
	if w.Quick {
		section.Method = append(section.Method, "That names mend without a repair, when the directory asks again, is waited for in a full run only.")
	} else {
		mended, err := u.waitForTheDirectory(ctx, &section)
		if err != nil {
			return section, err
		}
		section.Measures = append(section.Measures, mended...)
	}
	repaired, err := u.repaired(ctx)
	section.Measures = append(section.Measures, repaired...)
	return section, err
}

// harm is what is wrong in one system at one moment.
type harm struct{ names, remembered, zombies, admitted, orphans int }

// counted are the measures of a moment, one harm for each contender.
func counted(moment string, of []harm) []report.Measure {
	out := []report.Measure{
		{Name: "orders under a wrong name"}, {Name: "orders that show a deleted user's name"}, {Name: "zombies: deleted users who have rows"},
		{Name: "zombies: deleted users whose token is answered"}, {Name: "orphans: rows that refer to a user whom the provider does not know"},
	}
	for m := range out {
		out[m].Name, out[m].Unit, out[m].Bars = moment+out[m].Name, report.Count, bars()
	}
	for i, h := range of {
		for m, n := range []int{h.names, h.remembered, h.zombies, h.admitted, h.orphans} {
			out[m].Bars[i].Values = []float64{float64(n)}
		}
	}
	return out
}

// waitForTheDirectory measures until every name is right again though nothing
// was repaired: a rename whose webhook was lost is seen when the directory asks
// again. It is waited for once, and the tables of users are looked at then too.
func (u *unrest) waitForTheDirectory(ctx context.Context, section *report.Section) ([]report.Measure, error) {
	const slack = 15 * time.Second
	took := report.Measure{Name: "until every name is right, with no repair", Unit: report.Milliseconds}
	for i, c := range contenders {
		if c.archetype != report.Federated {
			continue
		}
		for {
			h, err := u.wrongNames(ctx, i)
			if err != nil {
				return nil, err
			}
			since := time.Since(u.renamed)
			if h.names == 0 {
				took.Bars = append(took.Bars, report.Bar{Label: c.label, Archetype: c.archetype, Values: []float64{ms(since)}})
				break
			}
			if since > directoryTTL+slack {
				section.Method = append(section.Method, fmt.Sprintf("After %s names of the federated archetype were still wrong.", since.Round(time.Second)))
				break
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	again := report.Measure{Name: "once the directory has asked again: orders under a wrong name", Unit: report.Count, Bars: bars()}
	for i := range contenders {
		h, err := u.wrongNames(ctx, i)
		if err != nil {
			return nil, err
		}
		again.Bars[i].Values = []float64{float64(h.names)}
	}
	section.Method = append(section.Method, "The time until every name is right runs from the second rename, and the pages are asked for twice a second; a table of users is not right before it is repaired.")
	if len(took.Bars) == 0 {
		return []report.Measure{again}, nil
	}
	return []report.Measure{took, again}, nil
}
