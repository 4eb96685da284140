"""An Asker whose model is a function; ledger, questions and the reading of replies are the real ones."""

from judges.asking.asker import Asker
from judges.questions.parsing import read_reply
from judges.questions.reply import Reply


class ScriptedAsker(Asker):
    """Answers with `script(question)`, a text or a Reply, and notes what it was asked."""

    script = staticmethod(lambda _: "[[A]]")

    def __post_init__(self):
        super().__post_init__()
        self.asked = []

    def ask(self, questions):
        for question in questions:
            if question.key in self.session.ledger.answers([question.key]):
                continue
            self.asked.append(question)
            said = self.script(question)
            reply = said if isinstance(said, Reply) else Reply(said)
            self.session.ledger.record([(question, read_reply(question, reply, "2026-01-01T00:00:00Z"))])


def scripted(script):
    """An Asker's class that answers by a script."""
    return type("Scripted", (ScriptedAsker,), {"script": staticmethod(script)})
