import proxyspec_reports


def test_all_names_what_the_package_offers() -> None:
    assert set(proxyspec_reports.__all__) == {
        "Annotate",
        "Annotation",
        "Attachment",
        "ReportView",
        "render_html",
        "render_junit",
        "render_markdown",
        "render_tap",
        "view",
    }
    assert all(hasattr(proxyspec_reports, name) for name in proxyspec_reports.__all__)
