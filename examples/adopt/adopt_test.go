package adopt_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/adopt"
)

// versions that work after each step, as docs/adoption.md says: what writes, and
// what else reads and writes beside it.
func versions(s *service, step int) []adopt.HelpDesk {
	legacy, dual, federated := adopt.Legacy{DB: s.db}, adopt.Dual{DB: s.db}, adopt.Federated{DB: s.db}
	switch step {
	case 0:
		return []adopt.HelpDesk{legacy}
	case 1, 2, 3:
		return []adopt.HelpDesk{legacy, dual}
	case 4:
		return []adopt.HelpDesk{dual, federated}
	default:
		return []adopt.HelpDesk{federated}
	}
}

// At every step each version that may run sees what every other wrote, for old
// users and for those who have just come, to whichever version first.
func TestVersions_WorkSideBySideAtEveryStep(t *testing.T) {
	t.Parallel()
	s := start(t)
	wrote := map[string][]string{"auth0|alice": {"printer", "scanner"}, "bob": {"keyboard"}}
	for step := range 6 {
		if step > 0 {
			if step == 4 {
				s.must(s.block("### Users without a user ID"))
			}
			s.must(s.block(forward[step-1]))
		}
		running := versions(s, step)
		// In the middle of a rollout the next request may meet either version: the
		// newcomers come to the older one first, and to the newer one.
		for round, order := range [][]adopt.HelpDesk{running, backwards(running)} {
			newcomer := fmt.Sprintf("new %d.%d", step, round)
			for i, desk := range order {
				for _, userID := range []string{"auth0|alice", "bob", newcomer} {
					s.signIn(desk, userID)
					if i > 0 {
						s.requireDigest(running, userID, false) // what they chose at the other version stands
					}
					title := fmt.Sprintf("step %d, round %d, version %d", step, round, i)
					require.NoError(t, desk.Open(t.Context(), userID, title))
					wrote[userID] = append(wrote[userID], title)
					for _, wanted := range []bool{true, false} {
						require.NoError(t, desk.SetDigest(t.Context(), userID, wanted))
						s.requireDigest(running, userID, wanted)
					}
				}
				for _, reader := range running {
					for userID, titles := range wrote {
						require.Equal(t, titles, s.titles(reader, userID), "%T after step %d reads %s", reader, step, userID)
					}
				}
			}
		}
	}
}

func backwards(desks []adopt.HelpDesk) []adopt.HelpDesk {
	desks = slices.Clone(desks)
	slices.Reverse(desks)
	return desks
}

func (s *service) signIn(desk adopt.HelpDesk, userID string) {
	s.t.Helper()
	require.NoError(s.t, desk.SignIn(s.t.Context(), adopt.Person{UserID: userID, Email: userID + "@example.com", Name: userID}))
}

// requireDigest wants every version to read the same preference.
func (s *service) requireDigest(desks []adopt.HelpDesk, userID string, want bool) {
	s.t.Helper()
	for _, desk := range desks {
		wants, err := desk.WantsDigest(s.t.Context(), userID)
		require.NoError(s.t, err)
		require.Equal(s.t, want, wants, "%T about %s", desk, userID)
	}
}

// From every step there is a way back to the users table, and nothing that was
// written meanwhile is lost on it.
func TestFallBack_FromEveryStepLosesNothing(t *testing.T) {
	t.Parallel()
	for step := 1; step <= 5; step++ {
		t.Run(fmt.Sprintf("step %d", step), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.upTo(step)
			running := versions(s, step)
			newest := running[len(running)-1]
			for _, userID := range []string{"bob", "dora"} {
				require.NoError(t, newest.SignIn(t.Context(), adopt.Person{UserID: userID, Email: userID + "@example.com", Name: userID}))
				require.NoError(t, newest.Open(t.Context(), userID, "written at the step"))
			}
			require.NoError(t, newest.SetDigest(t.Context(), "dora", false))
			s.downFrom(step)

			legacy := adopt.Legacy{DB: s.db}
			require.Equal(t, []string{"printer", "scanner"}, s.titles(legacy, "auth0|alice"))
			require.Equal(t, []string{"keyboard", "written at the step"}, s.titles(legacy, "bob"))
			require.Equal(t, []string{"written at the step"}, s.titles(legacy, "dora"))
			for userID, want := range map[string]bool{"auth0|alice": false, "bob": true, "dora": false} {
				wants, err := legacy.WantsDigest(t.Context(), userID)
				require.NoError(t, err)
				require.Equal(t, want, wants, userID)
			}
			require.Equal(t, 1, s.count(`SELECT count(*) FROM tickets t JOIN users u ON u.id = t.assignee_id WHERE t.title = 'printer' AND u.idp_id = 'bob'`))
			require.Equal(t, 3, s.count(`SELECT count(*) FROM comments c JOIN users u ON u.id = c.author_id`))
			require.Equal(t, "Alice", s.name("auth0|alice"), "the dump has the profile")
			_, err := s.db.Exec(t.Context(), `INSERT INTO tickets (author_id, title) VALUES (4711, 'nobody')`)
			require.ErrorContains(t, err, "tickets_author_fkey", "the foreign key is back")
			s.upTo(step) // and forward again
		})
	}
}

func (s *service) name(userID string) (name string) {
	s.t.Helper()
	require.NoError(s.t, s.db.QueryRow(s.t.Context(), `SELECT name FROM users WHERE idp_id = $1`, userID).Scan(&name))
	return name
}

// Without the dump there is a way back as well, with placeholders that the next
// sign-in fills in.
func TestFallBack_WithoutTheDumpProfilesComeWithTheNextSignIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.upTo(5)
	s.must(`psql -qX -f examples/adopt/users_table.sql "$DATABASE_URL"; psql -qX -f examples/adopt/5_drop_users.down.sql "$DATABASE_URL"`)
	s.must(s.block(back(4)))
	require.Empty(t, s.name("bob"))
	legacy := adopt.Legacy{DB: s.db}
	require.NoError(t, legacy.SignIn(t.Context(), adopt.Person{UserID: "bob", Email: "bob@example.com", Name: "Bob"}))
	require.Equal(t, "Bob", s.name("bob"))
	require.Equal(t, []string{"keyboard"}, s.titles(legacy, "bob"))
}

// The backfill goes on where it stopped, in batches, and leaves alone what is there.
func TestBackfill_GoesThroughAllRowsAndAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.exec(`INSERT INTO tickets (author_id, title) SELECT 2, 'bulk' FROM generate_series(1, 2500)`)
	s.upTo(1)
	s.exec(`UPDATE tickets SET author_user_id = 'bob' WHERE id IN (SELECT id FROM tickets WHERE title = 'bulk' LIMIT 700)`)
	s.step(2)
	require.Equal(t, 2501, s.count(`SELECT count(*) FROM tickets WHERE author_user_id = 'bob'`))
	s.step(2)
	require.Equal(t, 2, s.count(`SELECT count(*) FROM tickets WHERE author_user_id = 'auth0|alice'`))
	require.Equal(t, 1, s.count(`SELECT count(*) FROM tickets WHERE author_user_id IS NULL`), "Carol's, who has no user ID yet")
}

// step is one step alone.
func (s *service) step(step int) {
	s.t.Helper()
	s.must(s.block(forward[step-1]))
}

// Verification names each kind of row that would become an orphan, and step 4 is
// refused as long as there is one.
func TestVerify_FindsOrphansAndStep4IsRefused(t *testing.T) {
	t.Parallel()
	clean := func(s *service) { s.upTo(3); s.must(s.block("### Users without a user ID")) }
	for name, plant := range map[string]struct {
		sql, problem string
	}{
		"a user without an ID":  {`INSERT INTO users (email, name) VALUES ('eve@example.com', 'Eve'); INSERT INTO tickets (author_id, title) SELECT id, 'x' FROM users WHERE name = 'Eve'`, "no ID at the identity provider"},
		"a row that was missed": {`UPDATE comments SET author_user_id = NULL WHERE author_id = 2`, "not filled in yet"},
		"another user":          {`UPDATE tickets SET author_user_id = 'mallory' WHERE author_id = 2`, "another user than the foreign key says"},
		"a preference":          {`DELETE FROM preferences WHERE user_id = 'auth0|alice'`, "preferences.user_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			clean(s)
			require.Zero(t, s.count(`SELECT count(*) FROM adopt_problems`), "nothing is wrong before")
			s.exec(plant.sql)
			require.Contains(t, s.must(s.block(forward[2])), plant.problem)
			out, err := s.run(s.block(forward[3]))
			require.Error(t, err)
			require.Contains(t, out, "not yet: ")
			require.Equal(t, 3, s.count(`SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'users'::regclass`), "nothing was changed")
		})
	}
}

// A user who gets an ID, or another one, while old and new code run: rows follow.
func TestDualWrite_FollowsAUsersFirstSignInAndARekey(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.upTo(2)
	require.NoError(t, adopt.Dual{DB: s.db}.SignIn(t.Context(), adopt.Person{UserID: "carol", Email: "carol@example.com", Name: "Carol"}))
	require.Equal(t, []string{"mouse"}, s.titles(adopt.Federated{DB: s.db}, "carol"))
	wants, err := adopt.Federated{DB: s.db}.WantsDigest(t.Context(), "carol")
	require.NoError(t, err)
	require.False(t, wants)
	s.exec(`UPDATE users SET idp_id = 'oidc|carol' WHERE idp_id = 'carol'`)
	require.Empty(t, s.titles(adopt.Federated{DB: s.db}, "carol"))
	require.Equal(t, []string{"mouse"}, s.titles(adopt.Federated{DB: s.db}, "oidc|carol"))
	require.Zero(t, s.count(`SELECT count(*) FROM adopt_problems`))
}
