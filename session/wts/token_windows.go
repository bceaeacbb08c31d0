package wts

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/windows"
)

// identity is what a user's token says of him.
func (w *WTS) identity(r *row) {
	token, err := w.token(r.id)
	if err != nil {
		r.sid = w.sidOf(r.domain, r.user)
		return
	}
	defer token.Close()
	if u, err := token.GetTokenUser(); err == nil {
		r.sid = u.User.Sid.String()
	}
	if sids, err := tokenGroups(token); err == nil {
		here, _ := os.Hostname()
		r.groups = w.names.of(sids, r.domain, here)
	}
}

// token is the token of a session's user. Only LocalSystem gets another's.
func (w *WTS) token(id uint32) (token windows.Token, err error) {
	if w.own {
		err = windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_QUERY, &token)
	} else {
		err = windows.WTSQueryUserToken(id, &token)
	}
	return token, err
}

// sidOf finds the number of an account by its name, once in the life of a logon: who may not have the token asks so.
func (w *WTS) sidOf(domain, user string) string {
	account := domain + `\` + user
	if sid, known := w.sids[account]; known {
		return sid
	}
	sid, _, kind, err := windows.LookupSID("", account)
	if err != nil || kind != windows.SidTypeUser {
		return ""
	}
	w.sids[account] = sid.String()
	return sid.String()
}

// Attributes of groups in a token, as in the page of TOKEN_GROUPS.
const (
	seGroupIntegrity = 0x00000020
	seGroupLogonID   = 0xC0000000
)

// tokenGroups lists the numbers of a token's groups, primary first: what the user was in when he logged on. Those that are there
// only to deny, as the administrators are to a program that is not elevated, count: he is in them.
func tokenGroups(token windows.Token) ([]string, error) {
	all, err := token.GetTokenGroups()
	if err != nil {
		return nil, fmt.Errorf("read the groups of a token: %w", err)
	}
	var out []string
	if p, err := token.GetTokenPrimaryGroup(); err == nil {
		out = append(out, p.PrimaryGroup.String())
	}
	for _, g := range all.AllGroups() {
		sid := g.Sid.String()
		if g.Attributes&seGroupIntegrity == 0 && g.Attributes&seGroupLogonID != seGroupLogonID && !slices.Contains(out, sid) {
			out = append(out, sid)
		}
	}
	return out, nil
}

// lookUp asks Windows for the name of a group.
func lookUp(sid string) (group, error) {
	s, err := windows.StringToSid(sid)
	if err != nil {
		return group{}, fmt.Errorf("read %s: %w", sid, err)
	}
	name, domain, kind, err := s.LookupAccount("")
	if err != nil {
		return group{}, fmt.Errorf("find the name of %s: %w", sid, err)
	}
	return group{domain: plain(domain), name: plain(name), wellKnown: kind != windows.SidTypeGroup && kind != windows.SidTypeAlias}, nil
}

// GroupsOf returns the groups of a user who is logged on, as Snapshot tells them, and where they come from. The token of another
// user is for LocalSystem only.
func GroupsOf(ctx context.Context, name string) (groups []string, source string, err error) {
	for _, o := range []Options{{Own: true}, {}} {
		w, err := o.Open()
		if err != nil {
			return nil, "", err
		}
		list, err := w.Snapshot(ctx)
		w.Close()
		if err != nil {
			return nil, "", err
		}
		for _, s := range list {
			if strings.EqualFold(s.User, name) && len(s.Groups) > 0 {
				return s.Groups, "the logon of session " + s.ID, nil
			}
		}
	}
	return nil, "", fmt.Errorf("groups of %q: not logged on, or not for this account to see; ask as that user, or as LocalSystem", name)
}
