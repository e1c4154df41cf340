import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import type { Who } from '../api/rest';
import { SignIn, SignInForm } from './SignIn';
import { SignOutButton } from './SignOut';

describe('the sign-in', () => {
  it('is not there while nobody is asked', () => {
    expect(renderToStaticMarkup(<SignIn />)).toBe('');
  });

  it('hides what is typed, and shows what went wrong as text', () => {
    const markup = renderToStaticMarkup(<SignInForm busy problem="<b>no</b>" provider={null} />);
    expect(markup).toContain('type="password"');
    expect(markup).toContain('role="alert">&lt;b&gt;no&lt;/b&gt;</p>');
    expect(markup).toMatch(/<button[^>]*disabled/);
    expect(markup).not.toContain('Sign in with');
  });

  it('offers the provider by its name, as text', () => {
    const markup = renderToStaticMarkup(<SignInForm busy={false} problem="" provider="<i>SSO</i>" />);
    expect(markup).toMatch(/<button[^>]*type="button"[^>]*>Sign in with &lt;i&gt;SSO&lt;\/i&gt;<\/button>/);
    expect(markup).toContain('type="password"');
    expect(markup).not.toContain('role="alert"');
  });
});

describe('the sign-out', () => {
  it('is there for a session only', () => {
    const drawn = (who: Who | null) => renderToStaticMarkup(<SignOutButton busy={false} who={who} />);
    const ada = { name: 'ada', role: 'operator' };
    expect(drawn(null)).toBe('');
    expect(drawn({ ...ada, session: false })).toBe('');
    expect(drawn({ ...ada, session: true })).toContain('aria-label="Sign out ada (operator)"');
  });
});
