import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { SignIn, SignInForm } from './SignIn';

describe('the sign-in', () => {
  it('is not there while nobody is asked', () => {
    expect(renderToStaticMarkup(<SignIn />)).toBe('');
  });

  it('hides what is typed, and shows what went wrong as text', () => {
    const markup = renderToStaticMarkup(<SignInForm busy problem="<b>no</b>" />);
    expect(markup).toContain('type="password"');
    expect(markup).toContain('role="alert">&lt;b&gt;no&lt;/b&gt;</p>');
    expect(markup).toMatch(/<button[^>]*disabled/);
  });
});
