"""People: face recognition, voice clusters, enrolment, and the identities that follow from them."""
