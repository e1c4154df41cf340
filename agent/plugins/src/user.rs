//! The user that a plugin runs as.

/// A user and its first group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User id, never 0.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// By name from passwd(5), or by number: `65534`, `65534:100`.
    ///
    /// # Errors
    /// When there is none, or it is root.
    pub fn find(written: &str, passwd: &str) -> Result<Self, String> {
        let user = match by_number(written) {
            Some(user) => user,
            None => by_name(written, passwd)
                .ok_or_else(|| format!("no user {written:?} in /etc/passwd"))?,
        };
        if user.uid == 0 {
            return Err(format!(
                "{written:?} is root: a plugin runs as a user of its own"
            ));
        }
        Ok(user)
    }
}

fn by_number(written: &str) -> Option<User> {
    let (uid, gid) = written.split_once(':').unwrap_or((written, written));
    Some(User {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

fn by_name(name: &str, passwd: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some(User {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_name_and_number_but_never_root() {
        let passwd = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbad\nwww:x:33:34:::\n";
        let user = |uid, gid| Ok(User { uid, gid });
        assert_eq!(User::find("www", passwd), user(33, 34));
        assert_eq!(User::find("65534", ""), user(65_534, 65_534));
        assert_eq!(User::find("7:8", ""), user(7, 8));
        for written in ["root", "toor", "0", "0:5", "nobody", "", "-1", "bad"] {
            User::find(written, passwd).expect_err(written);
        }
    }
}
