from specbench.analysis.stats import Estimate
from specbench.analysis.tuning import Single, Tuned, Winner
from specbench.report.tuned import tuned_sections


def test_it_says_what_to_use_what_is_undecided_and_what_one_setting_costs() -> None:
    winners = (
        Winner("code", "draft", Estimate(2.0, 1.5, 2.5, 8), (), ("ngram-simple",)),
        Winner("chat", "none", Estimate(1.0, None, None, 2), ("draft", "ngram-mod"), ()),
    )
    tuned = Tuned(
        target="target",
        temperature=0.8,
        winners=winners,
        mix={"code": 0.75, "chat": 0.25},
        single=Single("draft", 1.5, 1.8),
        commands={"draft": "llama-server --model t.gguf"},
        rounds=2,
        trials=10,
        grid=30,
    )
    fastest, mix, commands = tuned_sections(tuned)
    assert fastest.rows == (
        ("code", "draft", "2.00 (1.50\N{EN DASH}2.50)", "8", "0"),
        ("chat", "switch it off (none)", "1.00", "2", "2"),
    )
    assert fastest.footnotes == (
        "10 trials in 2 round(s); measuring everything takes 30",
        "chat: not told apart from draft, ngram-mod",
        "code: slower on the few prompts they had, perhaps by chance: ngram-simple",
    )
    assert mix.title == "Your mix: code 75 %, chat 25 %"
    assert mix.lines[-1] == "one setting for all costs 20.0 % more time"
    assert commands.lines == ("draft: llama-server --model t.gguf",)
